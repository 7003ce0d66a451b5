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
//   re-attach:  is_reattaching = 1;  [compiler barrier]
//               cleared at the end of Python? is_reattaching = 0, park : attach, is_reattaching = 0
//   clear:      cleared = 1;  [membarrier]
//               is_reattaching? wait, with a limit;  [CPython frees the tstate]
//
// Each side stores to its own word and then loads the other one, with a fence between. So the side that stores second
// loads what the first one stored (Dekker). Either the thread does not touch its tstate any more, or the tstate
// outlives the call. A thread re-attaches millions of times, and a tstate is cleared once. So the clearing thread
// provides both fences, as the finalizing thread does for the gate (gate.hpp). Its membarrier orders its store of
// `cleared`, and that of CPython's flag, before any later load of the re-attaching thread, or the earlier store of
// `is_reattaching` before its own load. A thread that clears its own tstate, or that of an ended thread, needs no
// fence. `is_reattaching` is reset with release and read with acquire, so the thread's reads of its tstate precede the
// freeing. tests/models/reattach.pml shows that the fences and their places are needed.
//
// The call ends: the flag is set, so when the thread next reads it, after one switch interval at the latest, CPython
// ends the thread, and `guarded` turns that into "is_reattaching = 0, park". Where CPython hangs the thread instead,
// nothing reports that, and so the limit is short. A short limit suffices, because the window is a few instructions,
// and the call sleeps only at places after which it reads the flag again.
//
// A reattach guard has two references, one of its thread and one of the capsule. The last one to go frees it.
#pragma once

#include <atomic>

#include "core/thread.hpp"
#include "cpython/guarded.hpp"
#include "cpython/layout.hpp"
#include "platform/fence.hpp"
#include "platform/futex.hpp"

namespace pyattach {

struct reattach_guard {
    reattach_guard *next; // of the same thread
    thread_state *tstate;
    uint64_t id; // of the tstate, because its address may be used again
    interpreter *interp;
    thread_local_words *owner;
    futex::word is_reattaching{0};
    std::atomic<bool> cleared{false};
    std::atomic<uint32_t> refs{2};
};

// The calling thread is attached with `tstate`, which other code made. The reattach guard of that tstate, which is made
// if there is none. NULL: none is needed, or none can be made, and the thread re-attaches as through
// Py_END_ALLOW_THREADS. None can be made if there is no memory, if locks are held (making one may collect garbage), or
// if the end of Python is too near.
reattach_guard *make_reattach_guard(thread &me, interpreter &interp, thread_state *tstate) noexcept;
// The same, without making one: the guard of that tstate if it is the newest one of the thread. NULL: there may be
// another one.
inline reattach_guard *newest_reattach_guard(const thread &me, const interpreter &interp,
                                             const thread_state *tstate) noexcept {
    reattach_guard *newest = me.reattach_guards;
    const bool is_found = newest && newest->tstate == tstate && !newest->cleared.load(std::memory_order_relaxed) &&
                          newest->id == cpython::id_in(tstate) && newest->interp == &interp;
    return is_found ? newest : nullptr;
}
// The guard that was made earlier for this tstate; NULL: none, or CPython has cleared the tstate.
reattach_guard *find_reattach_guard(const thread &me, const thread_state *tstate) noexcept;
// CPython has cleared the guard's tstate. Parks the thread if that is because Python ends.
void park_if_ending(reattach_guard &guard) noexcept;
// Attaches the thread with the guard's tstate again, and parks it if CPython refuses. Inline for the fast path.
inline void reattach(reattach_guard &guard) noexcept {
    guard.is_reattaching.store(1, std::memory_order_relaxed);
    light_fence(fences_are_asymmetric);
    if (__builtin_expect(guard.cleared.load(std::memory_order_relaxed), 0))
        park_if_ending(guard);
    // Release: the thread's reads of its tstate precede the freeing by CPython.
    auto arrived = [&guard]() noexcept { guard.is_reattaching.store(0, std::memory_order_release); };
    cpython::guarded([&guard] { cpython::python().restore(guard.tstate); }, arrived);
    arrived();
}
// `me` has ended, or is not in this fork child.
void drop_reattach_guards(thread &me) noexcept;

} // namespace pyattach
