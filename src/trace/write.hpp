// Writes a trace as a file.
#pragma once

#include "core/trace_session.hpp"

namespace pyattach::trace {

// See trace.h.
status begin(const pyattach_trace_options *given) noexcept;
status write_to_path(const char *path, int format) noexcept;
status write_to_descriptor(int descriptor, int format) noexcept;

// Writes the trace to the path that its options name, if a trace records and they name one. Keeps errno. What cannot be
// written is told to the message handler.
void dump() noexcept;

} // namespace pyattach::trace
