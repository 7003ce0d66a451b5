// fork: what the child keeps, and what it forgets.
#pragma once

#include <atomic>

namespace pyattach {

// Once per process, before the first record is used.
void prepare_fork() noexcept;

// True in a child from fork() until Python's own after-fork has run: the GIL may be held by a thread that is not there.
extern std::atomic<bool> is_raw_fork;

// Python has put itself in order in the child; attached.
void after_fork() noexcept;

} // namespace pyattach
