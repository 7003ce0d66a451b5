// Ensure: what PyGILState_Ensure and PyGILState_Release are routed to.
//
// On an attached thread an ensure is counted in the tstate, as CPython does it, and its handle is `locked`. Else it
// attaches through a scope of this library, in an entry on top of the thread's stack, and its handle is `unlocked`. So
// the handle says which of the two a release ends.
//
// Code that is not routed counts in the same tstate. A release ends the top entry if the count is what the entry left,
// plus the nested ensures since. If it is higher, the release belongs to an ensure that was not routed, and is
// CPython's. If it is lower, code that is not routed has released what was not its own.
#pragma once

#include "cpython/layout.hpp"
#include "gilstate/entry.hpp"

namespace pyattach::gilstate {

// PyGILState_STATE
enum handle : int { locked = 0, unlocked = 1 };

// Whether `tstate`, which is the current one, is this thread's. From 3.12 it always is, and is the one in the GILState
// slot.
inline bool is_own_current(const thread &me, const thread_state *tstate) noexcept {
    const cpython::table &py = cpython::python();
    return tstate &&
           (py.current_is_own || tstate == me.fast_participant->warm_tstate || tstate == py.gilstate_tstate());
}

// See gilstate.h. `caller`: where the call returns to.
int ensure_slow(const void *caller);
void release_slow(int handle, const void *caller) noexcept;
// For a thread that is not attached: puts an entry on top and attaches.
int ensure_entry(thread &me, const void *caller);
// Ends the top entry, whose scope is an attached one, and takes it off.
void end_attached(thread &me) noexcept;

inline int ensure(const void *caller) {
    thread *const fast = this_thread.fast_record();
    if (!fast)
        return ensure_slow(caller);
    thread &me = *fast;
    thread_state *tstate = cpython::peek(me.current_at);
    const unsigned counter_at = cpython::trusted.counter_at.load(std::memory_order_relaxed);
    if (!counter_at)
        return ensure_slow(caller);
    if (is_own_current(me, tstate)) {
        ++cpython::ensure_count(tstate, counter_at);
        me.ensured = tstate;
        if (entry *top = top_of(&me))
            ++top->nested;
        return locked;
    }
    // The warm way in: no scope is open, so no entry is, and the next attach is with the warm tstate.
    if (me.top == &me.base && me.fast_participant != &no_participant && !top_of(&me))
        return ensure_entry(me, caller);
    return ensure_slow(caller);
}

inline void release(int handle, const void *caller) noexcept {
    const unsigned counter_at = cpython::trusted.counter_at.load(std::memory_order_relaxed);
    thread *const fast = this_thread.fast_record();
    if (!fast || !counter_at)
        return release_slow(handle, caller);
    thread &me = *fast;
    thread_state *tstate = cpython::peek(me.current_at);
    entry *top = top_of(&me);
    if (handle == locked) {
        // That the tstate is this thread's was checked when the ensure was counted.
        if (!tstate || tstate != me.ensured)
            return release_slow(handle, caller);
        int &count = cpython::ensure_count(tstate, counter_at);
        // A tstate has a count of its own from its making on, so a nested ensure never holds the only one.
        if (count <= 1 || (top && !top->nested))
            return release_slow(handle, caller);
        --count;
        if (top)
            --top->nested;
        return;
    }
    if (!top || top->kind != kind::attached || top->tstate != tstate || top->counter <= 0)
        return release_slow(handle, caller);
    int &count = cpython::ensure_count(tstate, counter_at);
    if (count != top->counter + static_cast<int>(top->nested))
        return release_slow(handle, caller);
    --count;
    end_attached(me);
}

} // namespace pyattach::gilstate
