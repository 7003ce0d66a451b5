// Reattach guard: what keeps CPython from freeing a thread state under a thread that is just coming back to it.
//
// Up to 3.13 the end of Python raises a flag and then clears and frees the states of all other threads. An attach looks
// at the flag first and into its state next; a thread that is not scheduled between the two until Python has ended
// finds freed memory. Threads that this library attached are not there then: the gate has seen to it. The gate cannot
// see to others, for up to the flag they have to be let in: exit callbacks that run after ours may wait for them.
//
// But CPython clears a state before it frees it, and clearing drops the state's dict. So a capsule in that dict has its
// destructor called between the flag and the end of the memory, and the destructor waits until the thread is out of
// the window:
//
//   come back:  coming = 1;  cleared by the end? coming = 0, park : attach;  coming = 0
//   clear:      cleared = 1;  coming? wait, with a limit;  [CPython frees the state]
//
// Each side writes one word and reads the other, sequentially consistent: whichever store comes second is followed by
// a look that sees the first. So either the thread does not touch its state any more, or the state outlives the call.
// The call ends: the flag is up, so on its next look, at the latest after one switch interval, CPython ends the thread,
// which guarded() turns into "coming = 0, park". Where CPython hangs it instead nobody hears of that, and the limit is
// short: the window is a few instructions, in a call that sleeps only where it looks at the flag again.
//
// A reattach_guard has two holders, its thread and the capsule; the last one frees it.
#pragma once

#include "core/thread.hpp"

namespace pyattach {

// Attached, with the state `now` of other code's: the reattach_guard to it, made if need be. NULL: none is needed, or
// none can be had (no memory; locks are held, as making one may collect garbage; the end is too near), and the thread
// comes back as through Py_END_ALLOW_THREADS.
reattach_guard *make_reattach_guard(thread &me, interpreter &interp, thread_state *tstate) noexcept;
// The one made earlier; NULL: none, or CPython has cleared the state.
reattach_guard *find_reattach_guard(const thread &me, const thread_state *tstate) noexcept;
// Attaches its state again; parks if CPython refuses.
void reattach(reattach_guard &) noexcept;
// The thread has ended, or is not in this fork child.
void drop_reattach_guards(thread &) noexcept;

} // namespace pyattach
