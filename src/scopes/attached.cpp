// Attached: this thread may call Python.
#include "scopes/attached.hpp"

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "cpython/find.hpp"
#include "cpython/guarded.hpp"
#include "cpython/layout.hpp"
#include "lifecycle/fork.hpp"
#include "lifecycle/registration.hpp"
#include "objects/decref.hpp"
#include "objects/drain.hpp"
#include "platform/kept_errno.hpp"
#include "scopes/attach.hpp"
#include "scopes/forked.hpp"

namespace pyattach {

namespace attached {
namespace {

[[gnu::noinline]] status refuse(attached_scope &scope, status why) noexcept {
    if (const thread *me = this_thread.record())
        check_storage(*me, "attached", &scope);
    scope.tag = tag::refused;
    count(event::refused);
    if (thread *me = this_thread.record())
        discard_late_record(*me);
    return why;
}

// Only after the attach returned (invariant 2).
inline void open(frame &scope, thread &me, const attach_result &result) noexcept {
    scope.temporary = result.temporary;
    scope.by_finalizing_thread = result.by_finalizing_thread;
    // The state may come with an exception: one of other code, or of a scope around this one, as in a destructor that
    // runs while an exception unwinds. It is not this scope's to report.
    bool is_ours_from_here =
        result.presence_before == presence::outside && result.tstate == result.participant->warm_tstate;
    scope.had_error = !is_ours_from_here && !result.is_new && cpython::python().error_occurred();
    scope.presence_before = result.presence_before;
    scope.tstate = result.tstate;
    scope.interp = result.interp;
    scope.participant = result.participant;
    scope.replaced = result.replaced;
    scope.back = result.back;
    scope.was_detached = result.was_detached;
    push(me, scope, tag::attached);
    me.counted.add(event::attaches);
}

// From here on the thread is not attached to the interpreter wanted (`where`; NULL: the main one).
status attach(attached_scope &scope, thread &me, interpreter *named, thread_state *replaced, bool checked) noexcept {
    attach_result result = {};
    interpreter *interp = named ? named : main_interpreter();
    status refused;
    if (!interp && !checked) {
        cpython::interp_state *main = cpython::python().main_interpreter();
        interp = main ? find_or_make_interpreter(main) : nullptr;
        if (!interp)
            return refuse(scope, main ? PYATTACH_NO_MEMORY : refuse_not_running());
    }
    // Until its hook is registered an interpreter is met for the first time at every contact. Handles name only
    // interpreters met.
    bool is_known =
        interp && (!checked || named || interp->hook.load(std::memory_order_acquire) == interpreter::registered);
    refused = is_known ? attach_to(me, *interp, replaced, checked, result) : attach_first(me, replaced, result);
    if (refused)
        return refuse(scope, refused);
    open(scope.frame, me, result);
    if (checked) {
        lookup_or_register(me, result.tstate);
        remember_interp(me, result.interp);
    }
    // Unchecked too: what waits was put there after the hook was registered.
    drain_if_allowed(*result.interp);
    return PYATTACH_OK;
}

enum class wanted { any, main, named };

[[gnu::noinline]] status begin_general(attached_scope &scope, thread_state *tstate, wanted which, interpreter *named,
                                       bool checked) noexcept {
    if (this_thread.forbidden)
        return refuse(scope, refuse_forbidden());
    if (status missing = cpython::find())
        return refuse(scope, missing);
    if (is_raw_fork())
        if (status disorder = forked::repair_python())
            return refuse(scope, disorder);
    thread *me = own_record();
    if (!me)
        return refuse(scope, PYATTACH_NO_MEMORY);
    check_storage(*me, "attached", &scope);
    if (tstate) {
        // Unchecked, an interpreter that was not met is not: nothing waits there.
        interpreter *interp =
            checked ? lookup_or_register(*me, tstate) : find_interpreter(cpython::python().interp_of(tstate));
        bool is_there = which == wanted::any || (which == wanted::named && interp == named);
        if (which == wanted::main)
            is_there = cpython::python().interp_of(tstate) == cpython::python().main_interpreter();
        if (is_there) {
            if (interp)
                drain_if_allowed(*interp);
            return nest(scope, *me);
        }
    }
    return attach(scope, *me, named, tstate, checked);
}

void end_nested(nested_scope &scope) noexcept {
    thread *me = this_thread.record();
    if (!me || scope.owner != me)
        misuse("pyattach_attached_end: the scope was begun on another thread.", "A scope ends on its own thread.",
               "End it where it was begun; give each thread its own scope.");
    // Looked for before it is looked into: its frame may have ended with its interpreter.
    frame *top_at_begin = scope.top_at_begin;
    bool is_there = top_at_begin == &me->base;
    for (const frame &open : open_frames(*me))
        is_there = is_there || &open == top_at_begin;
    if (is_there && top_at_begin != me->top && !is_inert(*top_at_begin))
        misuse("pyattach_attached_end: a scope inside this one is still open.",
               "A detached scope, or one that attached, ends before the scopes around it.",
               "End the innermost scope first.");
    // Of an inert frame further down: the frames above it began with one more than is open below them now. Of one that
    // is gone: ended with it.
    if (is_there || top_at_begin == me->top) {
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

} // namespace

// The warm path: this thread has a state of the main interpreter, no scope is open, and the gate is too. (A participant
// in an interpreter that has ended is behind a gate that is dead; a thread without a scope is outside.) Anything else
// is for the slow path, unchanged. Written out, because every instruction here is paid for at each attach.
status begin_warm(attached_scope &scope, thread &me) noexcept {
    // Attached by other code; or, up to 3.11, somebody is, and this thread will wait for them anyway.
    if (cpython::peek(me.current_at))
        return begin_slow(scope);
    participant &fast_participant = *me.fast_participant;
    if (__builtin_expect(!fast_participant.interp->gate.enter(fast_participant, presence::outside, true), 0))
        return begin_slow(scope);
    // Nobody looks at the frame before it is on top, so most of it is written before the call.
    pyattach::frame &frame = scope.frame;
    frame.begin_with(fast_head());
    frame.nested_before = me.nested_open;
    frame.below = &me.base;
    set_fast_participant(frame, fast_participant);
    cpython::restore(cpython::python(), fast_participant.warm_tstate);
    // Only after the attach returned (invariant 2).
    me.top = &frame;
    me.counted.add(event::attaches);
    drain_if_allowed(*frame.interp);
    return PYATTACH_OK;
}

status begin_nested(attached_scope &scope, thread &me) noexcept {
    const cpython::table &py = cpython::python();
    thread_state *tstate = cpython::peek(me.current_at);
    if (!tstate)
        return begin_slow(scope);
    const frame *top = is_of_top(me, tstate) ? readable_top(me) : nullptr;
    interpreter *interp = nullptr;
    if (top && !top->inert)
        interp = top->interp;
    else if (py.current_is_own && is_last_interp(me, py.interp_of(tstate)))
        interp = me.last_interp;
    if (__builtin_expect(!interp || interp->gate.is_ended(), 0))
        return begin_slow(scope);
    check_storage(me, "attached", &scope);
    drain_if_allowed(*interp);
    return nest(scope, me);
}

[[gnu::noinline]] status begin_slow(attached_scope &scope) noexcept {
    const kept_errno kept;
    return begin_general(scope, current_tstate(), wanted::any, nullptr, true);
}

void end_warm(attached_scope &scope, thread &me) noexcept {
    pyattach::frame &frame = scope.frame;
    const cpython::table &py = cpython::python();
    // An interpreter that has ended took the state along.
    if (__builtin_expect(frame.interp->gate.is_ended() || cpython::peek(me.current_at) != frame.tstate ||
                             cpython::has_exception(frame.tstate),
                         0))
        return detach_from(frame);
    cpython::save(py);
    frame.tag = tag::ended;
    me.top = &me.base;
    // Detach first, leave the gate second: the exit must not see us gone while we still hold a thread state.
    frame.interp->gate.leave(*frame.participant, presence::outside, true);
}

void end_slow(attached_scope &scope) noexcept {
    const kept_errno kept;
    if (this_thread.forbidden)
        misuse("pyattach_attached_end: the thread is inside a forbidden scope.",
               "Inside tp_traverse nothing attaches or detaches.", "End the forbidden scope first.");
    if (scope.tag == tag::nested)
        end_nested(scope.nested);
    else if (scope.tag == tag::attached)
        detach_from(scope.frame);
    else
        not_open("attached", scope.tag);
}

status begin_in(attached_scope &scope, interpreter &interp) noexcept {
    const kept_errno kept;
    if (interp.is_cleared())
        return refuse(scope, this_thread.forbidden ? refuse_forbidden() : PYATTACH_FINALIZING);
    return begin_general(scope, current_tstate(), wanted::named, &interp, true);
}

status begin_unchecked(attached_scope &scope) noexcept {
    const kept_errno kept;
    return begin_general(scope, current_tstate(), wanted::any, nullptr, false);
}

status assume_slow(attached_scope &scope) noexcept {
    const kept_errno kept;
    if (this_thread.forbidden)
        return refuse(scope, refuse_forbidden());
#if PYATTACH_CHECKS
    if (!current_tstate())
        misuse("pyattach_attached_assume: no thread state of this thread is current.",
               "Who assumes an attached thread vouches that it is attached.",
               "Use pyattach_attached_begin where that is not certain.");
#endif
    return begin_slow(scope);
}

bool is_attached() noexcept { return !this_thread.forbidden && current_tstate(); }

int depth() noexcept {
    const thread *me = this_thread.record();
    if (!me)
        return 0;
    uint32_t attached = 0, nested_below = me->nested_open;
    const uint32_t nested = nested_below;
    frame *at = me->top, *scope;
    while ((scope = readable(*me, at)) && !is_inert(*scope)) {
        nested_below = scope->nested_before;
        attached += scope->tag == tag::attached;
        at = scope->below;
        if (scope->tag == tag::detached)
            break;
    }
    if (!scope && at == &me->base && !is_inert(*at))
        nested_below = 0;
    return static_cast<int>(attached + nested - nested_below);
}

interpreter *main() noexcept {
    interpreter *met = main_interpreter();
    if (met && met->hook.load(std::memory_order_acquire) == interpreter::registered)
        return met;
    attached_scope once;
    if (begin_general(once, current_tstate(), wanted::main, nullptr, true) != PYATTACH_OK)
        return nullptr;
    met = main_interpreter();
    end(once);
    return met;
}

interpreter *current() noexcept {
    thread_state *tstate = this_thread.forbidden ? nullptr : current_tstate();
    thread *me = tstate ? own_record() : nullptr;
    return me ? lookup_or_register(*me, tstate) : nullptr;
}

} // namespace attached
} // namespace pyattach
