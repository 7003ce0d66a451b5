// How the main interpreter starts: one thread initialises Python, all others wait until it is usable.
#pragma once

#include "pyattach/interpreter.h"

namespace pyattach {

pyattach_status start(const pyattach_start_options *options) noexcept;
// Returns at once unless another thread is inside start(); not attached.
void wait_for_start() noexcept;
// This thread is inside start(): it runs code that Python runs while it starts.
bool is_starter() noexcept;

// In a fork child: whoever started Python is not there.
void forget_start() noexcept;

} // namespace pyattach
