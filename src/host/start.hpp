// How the main interpreter starts: one thread initialises Python, all others wait until it is usable.
#pragma once

#include "pyattach/interpreter.h"

namespace pyattach {

pyattach_status start(const pyattach_start_options *options) noexcept;

} // namespace pyattach
