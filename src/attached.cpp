// Attached: this thread may call Python.
#include "attached.hpp"

#include "attach.hpp"
#include "diagnostics.hpp"
#include "fork.hpp"
#include "forked.hpp"
#include "kept_errno.hpp"

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
inline void open(frame &mine, thread &me, const attach_result &in) noexcept {
    mine.temporary = in.temporary;
    mine.by_finalizing_thread = in.by_finalizing_thread;
    // The state may come with an exception: one of other code, or of a scope around this one, as in a destructor that
    // runs while an exception unwinds. It is not this scope's to report.
    bool is_ours_from_here = in.inside_below == presence::outside && in.state == in.participant->warm;
    mine.had_error = !is_ours_from_here && !in.is_new && cpython::python().error_occurred();
    mine.inside_below = in.inside_below;
    mine.state = in.state;
    mine.where = in.where;
    mine.participant = in.participant;
    mine.replaced = in.replaced;
    mine.back = in.back;
    mine.was_detached = in.was_detached;
    push(me, mine, tag::attached);
    me.counted.add(event::attaches);
}

// From here on the thread is not attached to the interpreter wanted (`where`; NULL: the main one).
status attach(attached_scope &scope, thread &me, interpreter *named, thread_state *replaced, bool checked) noexcept {
    attach_result in = {};
    interpreter *where = named ? named : main_interpreter();
    status refused;
    if (!where && !checked) {
        cpython::interp_state *main = cpython::python().main_interpreter();
        where = main ? find_or_make_interpreter(main) : nullptr;
        if (!where)
            return refuse(scope, main ? PYATTACH_NO_MEMORY : refuse_not_running());
    }
    // Until its hook is registered an interpreter is met for the first time at every contact. Handles name only
    // interpreters met.
    bool is_known =
        where && (!checked || named || where->hook.load(std::memory_order_acquire) == interpreter::registered);
    refused = is_known ? attach_to(me, *where, replaced, checked, in) : attach_first(me, replaced, in);
    if (refused)
        return refuse(scope, refused);
    open(scope.outer, me, in);
    if (checked) {
        lookup_or_register(me, in.state);
        remember_interp(me, in.where);
    }
    // Unchecked too: what waits was put there after the hook was registered.
    drain_if_allowed(*in.where);
    return PYATTACH_OK;
}

enum class wanted { any, main, named };

[[gnu::noinline]] status begin_general(attached_scope &scope, thread_state *now, wanted which, interpreter *named,
                                       bool checked) noexcept {
    if (this_thread.forbidden)
        return refuse(scope, refuse_forbidden());
    if (status missing = cpython::find())
        return refuse(scope, missing);
    if (is_raw_fork())
        if (status disorder = forked::come_to_order())
            return refuse(scope, disorder);
    thread *me = own_record();
    if (!me)
        return refuse(scope, PYATTACH_NO_MEMORY);
    check_storage(*me, "attached", &scope);
    if (now) {
        // Unchecked, an interpreter that was not met is not: nothing waits there.
        interpreter *here = checked ? lookup_or_register(*me, now) : find_interpreter(cpython::python().interp_of(now));
        bool is_there = which == wanted::any || (which == wanted::named && here == named);
        if (which == wanted::main)
            is_there = cpython::python().interp_of(now) == cpython::python().main_interpreter();
        if (is_there) {
            if (here)
                drain_if_allowed(*here);
            return nest(scope, *me);
        }
    }
    return attach(scope, *me, named, now, checked);
}

void end_nested(nested_scope &scope) noexcept {
    thread *me = this_thread.record();
    if (!me || scope.owner != me)
        misuse("pyattach_attached_end: the scope was begun on another thread.", "A scope ends on its own thread.",
               "End it where it was begun; give each thread its own scope.");
    // Looked for before it is looked into: its frame may have ended with its interpreter.
    frame *in = scope.in;
    bool is_there = in == &me->base;
    for (const frame &open : open_frames(*me))
        is_there = is_there || &open == in;
    if (is_there && in != me->top && !is_inert(*in))
        misuse("pyattach_attached_end: a scope inside this one is still open.",
               "A detached scope, or one that attached, ends before the scopes around it.",
               "End the innermost scope first.");
    // Of an inert frame further down: the frames above it began with one more than is open below them now. Of one that
    // is gone: ended with it.
    if (is_there || in == me->top) {
        for (frame &above : open_frames(*me)) {
            if (&above == in)
                break;
            --above.nested_before;
        }
        ++me->nested_ended();
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
    participant &fast_participant = *me.fast_participant();
    if (__builtin_expect(!fast_participant.where->gate.enter_fast(fast_participant), 0))
        return begin_slow(scope);
    // Nobody looks at the frame before it is on top, so most of it is written before the call.
    frame &mine = scope.outer;
    mine.begin_with(warm_head());
    mine.nested_before = me.nested_open();
    mine.below = &me.base;
    set_place(mine, fast_participant);
    cpython::restore(cpython::python(), fast_participant.warm);
    // Only after the attach returned (invariant 2).
    me.top = &mine;
    me.counted.add(event::attaches);
    drain_if_allowed(*mine.where);
    return PYATTACH_OK;
}

status begin_nested(attached_scope &scope, thread &me) noexcept {
    const cpython::table &py = cpython::python();
    thread_state *now = cpython::peek(me.current_at);
    if (!now)
        return begin_slow(scope);
    const frame *top = is_of_top(me, now) ? readable_top(me) : nullptr;
    interpreter *here = nullptr;
    if (top && !top->dead)
        here = top->where;
    else if (py.current_is_own && is_last_interp(me, py.interp_of(now)))
        here = me.last_interp();
    if (__builtin_expect(!here || here->gate.is_dead(), 0))
        return begin_slow(scope);
    check_storage(me, "attached", &scope);
    drain_if_allowed(*here);
    return nest(scope, me);
}

[[gnu::noinline]] status begin_slow(attached_scope &scope) noexcept {
    const kept_errno keeps;
    return begin_general(scope, current_tstate(), wanted::any, nullptr, true);
}

void end_warm(attached_scope &scope, thread &me) noexcept {
    frame &mine = scope.outer;
    const cpython::table &py = cpython::python();
    // An interpreter that has ended took the state along.
    if (__builtin_expect(mine.where->gate.is_dead() || cpython::peek(me.current_at) != mine.state ||
                             cpython::has_exception(mine.state),
                         0))
        return detach_from(mine);
    cpython::save(py);
    mine.tag = tag::ended;
    me.top = &me.base;
    // Detach first, leave the gate second: the exit must not see us gone while we still hold a thread state.
    mine.where->gate.leave_fast(*mine.participant, presence::outside);
}

void end_slow(attached_scope &scope) noexcept {
    const kept_errno keeps;
    if (this_thread.forbidden)
        misuse("pyattach_attached_end: the thread is inside a forbidden scope.",
               "Inside tp_traverse nothing attaches or detaches.", "End the forbidden scope first.");
    if (scope.tag == tag::nested)
        end_nested(scope.nested);
    else if (scope.tag == tag::attached)
        detach_from(scope.outer);
    else
        not_open("attached", scope.tag);
}

status begin_in(attached_scope &scope, interpreter &where) noexcept {
    const kept_errno keeps;
    if (where.is_cleared.load(std::memory_order_acquire))
        return refuse(scope, this_thread.forbidden ? refuse_forbidden() : PYATTACH_FINALIZING);
    return begin_general(scope, current_tstate(), wanted::named, &where, true);
}

status begin_unchecked(attached_scope &scope) noexcept {
    const kept_errno keeps;
    return begin_general(scope, current_tstate(), wanted::any, nullptr, false);
}

status assume_slow(attached_scope &scope) noexcept {
    const kept_errno keeps;
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
    uint32_t attached = 0, nested_below = me->nested_open();
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
    thread_state *now = this_thread.forbidden ? nullptr : current_tstate();
    thread *me = now ? own_record() : nullptr;
    return me ? lookup_or_register(*me, now) : nullptr;
}

} // namespace attached
} // namespace pyattach
