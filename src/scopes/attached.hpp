// Attached: this thread may call Python.
#pragma once

#include "core/interpreter.hpp"
#include "core/thread.hpp"

namespace pyattach {

// An attached scope that found its thread attached.
struct nested_scope {
    pyattach::tag tag;
    thread *owner;
    frame *top_at_begin; // the frame on top when it began
};

union attached_scope {
    attached_scope() noexcept {}
    pyattach::tag tag;
    nested_scope nested;
    pyattach::frame frame;
};

namespace attached {

status begin_in(attached_scope &, interpreter &) noexcept;
status begin_unchecked(attached_scope &) noexcept;

// The warm path: this thread has a state of the main interpreter, and no scope is open. Found attached, as far as can
// be told at a glance. And what comes of it when that is not so.
status begin_warm(attached_scope &, thread &me) noexcept;
status begin_nested(attached_scope &, thread &me) noexcept;
status begin_slow(attached_scope &) noexcept;
status assume_slow(attached_scope &) noexcept;
void end_warm(attached_scope &, thread &me) noexcept;
void end_slow(attached_scope &) noexcept;

// `scope` has been looked for among those open.
inline status nest(attached_scope &scope, thread &me) noexcept {
    scope.nested = {tag::nested, &me, me.top};
    ++me.nested_open;
    me.counted.add(event::nested);
    return PYATTACH_OK;
}

// Decided here, without a call, in whoever asks.
inline status begin(attached_scope &scope) noexcept {
    if (!this_thread.is_fast())
        return begin_slow(scope);
    thread &me = this_thread.fast_record();
    // Nested comes first: a jump counts there.
    if (__builtin_expect(me.top == &me.base && me.fast_participant != &no_participant, 0))
        return begin_warm(scope, me);
    if (__builtin_expect(is_warm_inside(me), 1) && __builtin_expect(me.fast_participant->interp->pool.is_empty(), 1) &&
        __builtin_expect(static_cast<void *>(&scope) != me.top, 1))
        return nest(scope, me);
    return begin_nested(scope, me);
}
inline status assume(attached_scope &scope) noexcept {
#if !PYATTACH_CHECKS
    if (!this_thread.is_fast())
        return assume_slow(scope);
    thread &me = this_thread.fast_record();
    // A guess that nothing checks; a drain there would touch its objects, so it takes place only after a question. It
    // is the record's, as the scope on top may be one that cannot be read; that one is compared, as the thread may have
    // been elsewhere since.
    const interpreter *interp = me.last_interp;
    const bool is_there = interp && (__builtin_expect(me.top->interp == interp, 1) || me.top == &me.base);
    if (__builtin_expect(is_there && interp->pool.is_empty(), 1))
        return nest(scope, me);
#endif
    return assume_slow(scope);
}
inline void end(attached_scope &scope) noexcept {
    if (this_thread.is_fast()) {
        thread &me = this_thread.fast_record();
        nested_scope &nested = scope.nested;
        // The frame on top is nobody else's, so the scope was begun on this thread.
        if (__builtin_expect(nested.tag == tag::nested, 1) && __builtin_expect(nested.top_at_begin == me.top, 1)) {
            --me.nested_open;
            nested.tag = tag::ended;
            return;
        }
        if (scope.frame.head() == fast_head() && me.top == &scope.frame && me.nested_open == scope.frame.nested_before)
            return end_warm(scope, me);
    }
    end_slow(scope);
}

bool is_attached() noexcept;
int depth() noexcept;

// The handles users get. First contact, so the main interpreter is attached to for a moment if it was not met yet.
interpreter *main() noexcept;
interpreter *current() noexcept;

} // namespace attached

} // namespace pyattach
