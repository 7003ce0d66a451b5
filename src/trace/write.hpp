// Writes a trace as a file.
#pragma once

#include "core/trace_session.hpp"

namespace pyattach::trace {

// See trace.h.
status write_to_path(const char *path, int format) noexcept;
status write_to_descriptor(int descriptor, int format) noexcept;

} // namespace pyattach::trace
