// Starting CPython, and whether its initialization has reached user code.
#pragma once

#include "cpython/table.hpp"

struct pyattach_start_options;

namespace pyattach::cpython {

// Not attached; one thread at a time. False: Python did not start, and the message handler has been called with the
// reason.
bool start(const pyattach_start_options *options) noexcept;
// Whether `site` has been imported, or is not to be: from then on initialization has run user code. Attached; runs
// Python code; keeps the pending exception.
bool is_usable() noexcept;

} // namespace pyattach::cpython
