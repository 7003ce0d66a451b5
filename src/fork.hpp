// fork: what the child keeps, and what it forgets.
#pragma once

#include <atomic>

namespace pyattach {

// Before the first record is used, and before Python's first guard. False: no memory. The second under the registry's
// lock.
bool prepare_fork() noexcept;
bool prepare_fork_held() noexcept;

// True in a child from fork() until Python's own after-fork has run: the GIL may be held by a thread that is not there.
extern std::atomic<bool> is_raw_fork;

// Python has put itself in order in the child; attached.
void after_fork() noexcept;

// Free-threaded 3.13: whoever stops an interpreter's other threads, as making a thread state may do to have room for
// it, holds a mutex while it waits for its turn; os.fork() stops them too, and copies that mutex as it finds it,
// locked, into a child where nobody is left to unlock it. So this library makes states while nobody forks, and
// os.fork() waits until they are made; a second at most. What others do is Python's own risk.
//
// Up to 3.11 the same goes for the lock under which CPython makes a thread state.
//
// Attached or not. Waits, detached, while somebody forks; a second at most.
void begin_stop() noexcept;
void end_stop() noexcept;
// Attached. The first lets go of the interpreter while it waits.
void fork_begins() noexcept;
void fork_ended() noexcept;

} // namespace pyattach
