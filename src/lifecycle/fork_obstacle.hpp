// Company: whether another thread was inside Python when this process was forked off.
#pragma once

namespace pyattach {

// In the child of a raw fork(), while the participants of all threads are there still. `is_something_lost`: a thread
// that is not there had borrowed a lock. What stands against using Python, as a sentence; NULL: nothing.
const char *find_fork_obstacle(bool is_something_lost) noexcept;

} // namespace pyattach
