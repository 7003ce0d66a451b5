// Starting: one thread initializes Python, and all others wait until it is usable.
#pragma once

namespace pyattach {

// Between the first and the second, the calling thread is the only one that may start Python. The first waits for
// another thread that starts it. Not attached.
void claim_start() noexcept;
void end_start() noexcept;
// Waits while another thread starts Python. Not attached.
void wait_for_start() noexcept;
// Whether the calling thread starts Python. Then it runs code that Python calls while it starts.
bool is_starter() noexcept;

// In a fork child: forgets a start on a thread that is not in the child.
void forget_start() noexcept;

} // namespace pyattach
