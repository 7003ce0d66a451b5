// Start: starts the main interpreter. One thread initializes Python, and all others wait until it is usable.
#pragma once

#include "pyattach/interpreter.h"

namespace pyattach {

// See pyattach_interpreter_start_with; `options` NULL: the defaults.
pyattach_status start(const pyattach_start_options *options) noexcept;

} // namespace pyattach
