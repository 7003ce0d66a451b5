// New tstates: made while nobody forks.
//
// Free-threaded 3.13: whoever stops an interpreter's other threads, as making a thread state may do to have room for
// it, holds a mutex while it waits for its turn; os.fork() stops them too, and copies that mutex as it finds it,
// locked, into a child where nobody is left to unlock it. So this library makes states while nobody forks, and
// os.fork() waits until they are made; a second at most. What others do is Python's own risk.
//
// Up to 3.11 the same goes for the lock under which CPython makes a thread state.
#pragma once

#include "core/interpreter.hpp"

namespace pyattach {

// A state for this thread. NULL: no memory, or the interpreter has ended meanwhile: where CPython would leave a fork
// child a lock locked, this waits while somebody forks.
thread_state *make_tstate(interpreter &interp) noexcept;

// Attached or not. Waits, detached, while somebody forks; a second at most.
void begin_stop() noexcept;
void end_stop() noexcept;
// Around os.fork() and its like: Python tells beforehand, and the parent afterwards. Attached. The first lets go of the
// interpreter while it waits.
void on_before_fork() noexcept;
void on_after_fork_in_parent() noexcept;
// In a fork child, within fork(): threads that made states, or forked, are not there. Then, attached: every fork is
// over.
void forget_os_fork() noexcept;
void end_all_os_forks() noexcept;

} // namespace pyattach
