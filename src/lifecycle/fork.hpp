// fork: what the child keeps, and what it discards.
#pragma once

#include <cstdint>

namespace pyattach {

// How long a fork waits for the housekeeper to end. It takes longer only if a destructor does that it runs.
constexpr int64_t housekeeper_limit_ns = 100000000;

// Registers the handlers of pthread_atfork, once. Called before the first record is used, and before Python's first
// guard. False: no memory. The second is for callers under the registry's lock.
bool prepare_fork() noexcept;
bool prepare_fork_locked() noexcept;

// In the child, attached, after Python's own after-fork: Python may be used again.
void on_after_fork_in_child() noexcept;

} // namespace pyattach
