// Gap: what PyEval_SaveThread and PyEval_RestoreThread are routed to, and the functions that do the same.
//
// A save begins a detached scope in an entry, and the restore of the same tstate ends it. A restore that is no way back
// from a gap attaches: through a scope of this library if it is the tstate that this library would choose, else through
// CPython.
#pragma once

#include "gilstate/entry.hpp"

namespace pyattach::gilstate {

// See gilstate.h. `caller`: where the call returns to.
thread_state *save_slow(const void *caller) noexcept;
// `may_end`: the thread may be ended if it is refused while nothing is open.
void restore_slow(thread_state *tstate, const void *caller, bool may_end);
// CPython's PyEval_ReleaseThread.
void release_thread(thread_state *tstate, const void *caller) noexcept;
// See gilstate.h.
bool is_open(const void *tstate) noexcept;
// The end of the gap was refused, or the attach.
[[noreturn]] void refuse_restore(status why, const void *caller);

inline thread_state *save(const void *caller) noexcept {
    thread *const fast = this_thread.fast_record();
    if (!fast)
        return save_slow(caller);
    thread &me = *fast;
    thread_state *tstate = cpython::peek(me.current_at);
    routing *own = me.routing;
    if (!tstate || !own || !own->has_room())
        return save_slow(caller);
    if (own->top && own->top->kind != kind::attached && own->top->kind != kind::detached)
        return save_slow(caller);
    entry &made = push_first(*own, caller);
    made.tstate = tstate;
    if (__builtin_expect(detached::begin(made.detached) != PYATTACH_OK, 0)) {
        pop(*own);
        return save_slow(caller);
    }
    made.kind = kind::detached;
    return tstate;
}

inline void restore(thread_state *tstate, const void *caller, bool may_end) {
    thread *const fast = this_thread.fast_record();
    if (!fast)
        return restore_slow(tstate, caller, may_end);
    thread &me = *fast;
    entry *top = top_of(&me);
    if (!top || top->kind != kind::detached || top->tstate != tstate || me.top != &top->detached.frame ||
        cpython::peek(me.current_at) == tstate)
        return restore_slow(tstate, caller, may_end);
    const interpreter *interp = top->detached.frame.interp;
    if (!interp || interp->gate.is_ended())
        return restore_slow(tstate, caller, may_end);
    top->kind = kind::changing; // Python code may run at the end of the scope
    const status why = detached::end(top->detached);
    pop(*me.routing);
    if (__builtin_expect(why != PYATTACH_OK, 0))
        refuse_restore(why, caller);
}

} // namespace pyattach::gilstate
