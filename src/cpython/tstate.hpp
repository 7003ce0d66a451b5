// Making and destroying tstates, and storing values in them.
#pragma once

#include "cpython/table.hpp"

namespace pyattach::cpython {

// Attached or not. NULL: no memory.
//
// Up to 3.11 a fork child inherits CPython's lock on all tstates in the state in which the fork finds it, and waits for
// it before anything else. So a fork waits for each thread that is in this function, 100 ms at most: this is the only
// CPython function that may wait and is called under an internal lock. With tracemalloc on, it waits for the GIL. Where
// os.fork() announces a fork, make_tstate waits for the end of the fork before it calls this function.
thread_state *new_tstate(interp_state *interp) noexcept;
// Around a fork, as internal_lock.hpp defines the three: for threads that are in new_tstate.
void hold_tstates() noexcept;
void release_hold_on_tstates() noexcept;
void restart_tstates() noexcept;

// Destroys the current tstate, which leaves the thread detached. Runs Python code.
void destroy_current(thread_state *tstate) noexcept;
// From 3.12: destroys the current tstate, which replaced `previous`, and makes `previous` current again. Runs Python
// code.
void destroy_swapped(thread_state *tstate, thread_state *previous) noexcept;

// Free-threaded: empties the free lists of `tstate`, which no thread uses any more. Each tstate has free lists of its
// own, and PyThreadState_Clear empties those of the current tstate, whichever tstate it clears. So this function makes
// `tstate` current while it destroys `unused`, a tstate that no thread has used. Free lists that are not emptied leak
// (22 KiB with 3.13), or remain until a collection. Attached; runs no Python code.
void empty_free_lists(thread_state *tstate, thread_state *unused) noexcept;

// Stores `value` in the dict of the current tstate. When a thread clears that tstate, it calls `cleared` with `value`.
// False: no memory, and `cleared` has been called. May collect garbage. Keeps the pending exception. Every call passes
// the same `cleared`.
bool keep_in_tstate(void *value, void (*cleared)(void *value) noexcept) noexcept;

} // namespace pyattach::cpython
