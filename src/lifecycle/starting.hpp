// Starting: one thread initialises Python, all others wait until it is usable.
#pragma once

namespace pyattach {

// The caller is the only one that may start Python, from the first to the second. Waits for another one. Not attached.
void claim_start() noexcept;
void end_start() noexcept;
// Returns at once unless another thread is inside start(); not attached.
void wait_for_start() noexcept;
// This thread is inside start(): it runs code that Python runs while it starts.
bool is_starter() noexcept;

// In a fork child: whoever started Python is not there.
void forget_start() noexcept;

} // namespace pyattach
