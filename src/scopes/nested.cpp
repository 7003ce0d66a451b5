// Nested: an attached scope that begins on an attached thread.
#include "base/diagnostics.hpp"
#include "core/current.hpp"
#include "core/interpreter.hpp"
#include "objects/drain.hpp"
#include "scopes/attached.hpp"

namespace pyattach::attached {

// No frame is open, so none is in the storage of the scope.
status begin_and_drain(attached_scope &scope, thread &me) noexcept {
    if (!is_last_interp(me, cpython::interp_in(cpython::peek(me.current_at))))
        return begin_slow(scope);
    drain_if_allowed(*me.last_interp);
    return nest(scope, me);
}

status begin_by_gilstate(attached_scope &scope, thread &me) noexcept {
    const thread_state *tstate = cpython::python().gilstate_tstate();
    // The tstate is read only if it is this thread's.
    if (__builtin_expect(
            !tstate || tstate != cpython::peek(me.current_at) || !is_last_interp(me, cpython::interp_in(tstate)), 0))
        return begin_slow(scope);
    drain_if_allowed(*me.last_interp);
    return nest(scope, me);
}

status begin_nested(attached_scope &scope, thread &me) noexcept {
    thread_state *tstate = cpython::peek(me.current_at);
    if (!tstate)
        return begin_slow(scope);
    const frame *top = is_of_top(me, tstate) ? readable_top(me) : nullptr;
    interpreter *interp = nullptr;
    if (top && !top->inert)
        interp = top->interp;
    else if (cpython::python().current_is_own && is_last_interp(me, cpython::interp_in(tstate)))
        interp = me.last_interp;
    if (__builtin_expect(!interp || interp->gate.is_ended(), 0))
        return begin_slow(scope);
    check_storage(me, "attached", &scope);
    drain_if_allowed(*interp);
    return nest(scope, me);
}

void end_nested(nested_scope &scope) noexcept {
    thread *me = this_thread.record();
    if (!me || scope.owner != me)
        misuse("pyattach_attached_end: the scope was begun on another thread.", "A scope ends on its own thread.",
               "End it where it was begun; give each thread its own scope.");
    // The frame is read only if it is one of the open frames, because it may have ended with its interpreter.
    frame *top_at_begin = scope.top_at_begin;
    bool is_open = top_at_begin == &me->base;
    for (const frame &open : open_frames(*me))
        is_open = is_open || &open == top_at_begin;
    if (is_open && top_at_begin != me->top && !is_inert(*top_at_begin))
        misuse("pyattach_attached_end: a scope inside this one is still open.",
               "A detached scope, or one that attached, ends before the scopes around it.",
               "End the innermost scope first.");
    // If the frame is inert and below the top, the frames above it have counted this scope in `nested_before`. If the
    // frame has ended, its end has subtracted this scope from `nested_open`.
    if (is_open || top_at_begin == me->top) {
        for (frame &above : open_frames(*me)) {
            if (&above == top_at_begin)
                break;
            --above.nested_before;
        }
        --me->nested_open;
    }
    scope.tag = tag::ended;
    discard_late_record(*me);
}

} // namespace pyattach::attached
