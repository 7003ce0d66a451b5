// New tstates: made while no fork is under way.
//
// On free-threaded 3.13 a thread that stops the other threads of an interpreter holds a mutex while it waits for its
// turn. Making a tstate may stop the others, to have room for it. os.fork() stops the others, too, and copies that
// mutex in the state in which it finds it. If it is locked, no thread in the child unlocks it. So this library makes
// tstates while no fork is under way, and os.fork() waits until they are made, for one second at most. The library
// cannot prevent this for tstates that other code makes.
//
// Up to 3.11 the same holds for the lock under which CPython makes a tstate.
#pragma once

#include "core/interpreter.hpp"

namespace pyattach {

// A new tstate for the calling thread. NULL: no memory, or CPython has cleared the interpreter meanwhile. Where CPython
// would leave a lock locked in a fork child, this function waits for the end of a fork.
thread_state *make_tstate(interpreter &interp) noexcept;

// Around os.fork() and its like: CPython calls the first before the fork, and the second in the parent. Attached. The
// first waits, detached, until no tstate is being made, for one second at most.
void on_before_fork() noexcept;
void on_after_fork_in_parent() noexcept;
// In a fork child, within fork(): the threads that made tstates or forked are not in the child, so nothing waits for
// them.
void forget_os_fork() noexcept;
// Later in the child, attached: no fork is under way.
void end_all_os_forks() noexcept;

// Deletes a tstate of this interpreter that no thread is attached with. Free-threaded; the calling thread is attached
// with a tstate that was made for this (see reap_batch::destroy_before_attach). Runs Python code.
void destroy_detached(interpreter &interp, thread_state *detached) noexcept;

} // namespace pyattach
