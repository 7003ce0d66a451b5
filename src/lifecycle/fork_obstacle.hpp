// Fork obstacle: what prevents the use of Python in the child of a raw fork().
#pragma once

namespace pyattach {

// In the child of a raw fork(), before the participants of the other threads are discarded. Returns a sentence that
// names the obstacle: another thread may have been inside Python, or there are sub-interpreters. NULL: there is no
// obstacle. `is_something_lost`: a thread that is not in the child had borrowed an internal lock.
const char *find_fork_obstacle(bool is_something_lost) noexcept;

} // namespace pyattach
