// Reattach guard: keeps CPython from freeing a tstate while a thread is re-attaching to it.
//
// Up to 3.13 finalization sets a flag, and then clears and frees the tstates of all other threads. A thread that
// attaches reads the flag first and its tstate next. If it is not scheduled between the two until Python has ended, it
// reads freed memory. A thread that this library attached is never there at that time, because the gate has excluded
// it. The gate cannot exclude other threads: until the flag is set they have to be admitted, because exit callbacks
// that run after this library's may wait for them.
//
// But CPython clears a tstate before it frees it, and clearing releases the tstate's dict. So the destructor of a
// capsule in that dict is called after the flag is set and before the memory is freed. The destructor waits until the
// thread has left that window:
//
//   re-attach:  is_reattaching = 1;  cleared at the end of Python? is_reattaching = 0, park
//                                    else attach, is_reattaching = 0
//   clear:      cleared = 1;  is_reattaching? wait, with a limit;  [CPython frees the tstate]
//
// Each side stores to its own word and then loads the other one, sequentially consistent. So the side that stores
// second loads what the first one stored (Dekker). Either the thread does not touch its tstate any more, or the tstate
// outlives the call. The call ends: the flag is set, so when the thread next reads it, after one switch interval at the
// latest, CPython ends the thread, and `guarded` turns that into "is_reattaching = 0, park". Where CPython hangs the
// thread instead, nothing reports that, and so the limit is short. A short limit suffices, because the window is a few
// instructions, and the call sleeps only at places after which it reads the flag again.
//
// A reattach guard has two references, one of its thread and one of the capsule. The last one to go frees it.
#pragma once

#include "core/thread.hpp"

namespace pyattach {

// The calling thread is attached with `tstate`, which other code made. The reattach guard of that tstate, which is made
// if there is none. NULL: none is needed, or none can be made, and the thread re-attaches as through
// Py_END_ALLOW_THREADS. None can be made if there is no memory, if locks are held (making one may collect garbage), or
// if the end of Python is too near.
reattach_guard *make_reattach_guard(thread &me, interpreter &interp, thread_state *tstate) noexcept;
// The guard that was made earlier for this tstate; NULL: none, or CPython has cleared the tstate.
reattach_guard *find_reattach_guard(const thread &me, const thread_state *tstate) noexcept;
// Attaches the thread with the guard's tstate again, and parks it if CPython refuses.
void reattach(reattach_guard &guard) noexcept;
// `me` has ended, or is not in this fork child.
void drop_reattach_guards(thread &me) noexcept;

} // namespace pyattach
