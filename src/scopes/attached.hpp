// Attached: this thread may call Python.
#pragma once

#include "core/interpreter.hpp"
#include "core/thread.hpp"
#include "cpython/layout.hpp"
#include "lifecycle/registration.hpp"

namespace pyattach {

// An attached scope that began on an attached thread.
struct nested_scope {
    pyattach::tag tag;
    thread *owner;
    frame *top_at_begin; // the thread's top frame when the scope began
};

// The same, with options that it keeps until its end (attach_options.hpp).
struct nested_with_scope {
    nested_scope nested;
    interpreter *labelled; // whose participant has the label of this scope; NULL: none has
    bool no_drain;
};

union attached_scope {
    attached_scope() noexcept {}
    pyattach::tag tag;
    nested_scope nested;
    nested_with_scope nested_with; // tag::nested_with
    pyattach::frame frame;
};

namespace attached {

// See attached.h.
status begin_in(attached_scope &, interpreter &) noexcept;
// For code that runs while Python starts or ends. The gate does not refuse the thread, and no exit hook is registered.
status begin_unchecked(attached_scope &) noexcept;

// The fast path of begin: the thread has a warm tstate of the main interpreter, and no frame is open.
status begin_warm(attached_scope &, thread &me) noexcept;
// The nested path if the thread is attached, else begin_slow: with an open frame; without one, up to 3.11; without one,
// from 3.12, where there is a current tstate. In nested.cpp, as is end_nested.
status begin_nested(attached_scope &, thread &me) noexcept;
status begin_by_gilstate(attached_scope &, thread &me) noexcept;
status begin_and_drain(attached_scope &, thread &me) noexcept;
// The slow path, for every other case, and for the cases above whose check failed.
status begin_slow(attached_scope &) noexcept;
status assume_slow(attached_scope &) noexcept;
void end_warm(attached_scope &, thread &me) noexcept;
void end_slow(attached_scope &) noexcept;
void end_nested(nested_scope &) noexcept;

// Begins a nested scope on an attached thread. The caller has checked that no open scope is in this storage.
inline status nest(attached_scope &scope, thread &me) noexcept {
    scope.nested = {tag::nested, &me, me.top};
    ++me.nested_open;
    me.counted.add(event::nested);
    return PYATTACH_OK;
}

// Begins a scope on a thread without open frames. From 3.12 other code attached it if there is a current tstate, and
// the interpreter is probably the one that was looked up last. Up to 3.11 CPython is asked whose the current tstate is
// before the tstate is read.
inline status begin_without_frame(attached_scope &scope, thread &me) noexcept {
    const thread_state *tstate = cpython::peek(me.current_at);
    if (__builtin_expect(!tstate, 0))
        return begin_slow(scope);
    if (!cpython::python().current_is_own)
        return begin_by_gilstate(scope, me);
    if (__builtin_expect(!is_last_interp(me, cpython::interp_in(tstate)) || !me.last_interp->pool.is_empty(), 0))
        return begin_and_drain(scope, me);
    return nest(scope, me);
}

// Inline, so that the C API function decides without a call which path to take.
__attribute__((always_inline)) inline status begin(attached_scope &scope) noexcept {
    thread *const fast = this_thread.fast_record();
    if (!fast)
        return begin_slow(scope);
    thread &me = *fast;
    // __builtin_expect keeps taken jumps off the nested path, which is half as long as an attach.
    if (__builtin_expect(me.top == &me.base && me.fast_participant != &no_participant, 0))
        return begin_warm(scope, me);
    if (__builtin_expect(is_warm_inside(me), 1) && __builtin_expect(me.fast_participant->interp->pool.is_empty(), 1) &&
        __builtin_expect(static_cast<void *>(&scope) != me.top, 1))
        return nest(scope, me);
    if (me.top == &me.base)
        return begin_without_frame(scope, me);
    return begin_nested(scope, me);
}
inline status assume(attached_scope &scope) noexcept {
#if !PYATTACH_CHECKS
    thread *const fast = this_thread.fast_record();
    if (!fast)
        return assume_slow(scope);
    thread &me = *fast;
    // The interpreter that the thread is probably attached to. CPython is not asked here, so this path must not drain
    // that interpreter's pool. The interpreter is read from the record, because the top frame may be unreadable. It is
    // compared with the frame's, because a scope may have attached the thread to another interpreter since.
    const interpreter *interp = me.last_interp;
    const bool is_likely = interp && (__builtin_expect(me.top->interp == interp, 1) || me.top == &me.base);
    if (__builtin_expect(is_likely && interp->pool.is_empty(), 1))
        return nest(scope, me);
#endif
    return assume_slow(scope);
}
inline void end(attached_scope &scope) noexcept {
    if (thread *const fast = this_thread.fast_record()) {
        thread &me = *fast;
        nested_scope &nested = scope.nested;
        // Only this thread has this top frame, so the scope began on this thread.
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

// See attached.h.
bool is_attached() noexcept;
int depth() noexcept;

// The handles that callers of the library get; see interpreter.h. If the main interpreter is not registered yet,
// find_main() and main() attach for a moment and register it. NULL: no Python runs, or the thread cannot attach; the
// status is the reason.
status find_main(interpreter *&found) noexcept;
interpreter *main() noexcept;
interpreter *current() noexcept;

} // namespace attached

} // namespace pyattach
