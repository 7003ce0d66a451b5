// fork: what the child keeps, and what it forgets.
#pragma once

namespace pyattach {

// Before the first record is used, and before Python's first guard. False: no memory. The second under the registry's
// lock.
bool prepare_fork() noexcept;
bool prepare_fork_locked() noexcept;

// Python has put itself in order in the child; attached.
void on_after_fork_in_child() noexcept;

} // namespace pyattach
