// Attached: this thread may call Python.
#include "scopes/attached.hpp"

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "core/thread_hook.hpp"
#include "core/trace.hpp"
#include "cpython/find.hpp"
#include "cpython/guarded.hpp"
#include "cpython/layout.hpp"
#include "lifecycle/fork.hpp"
#include "lifecycle/registration.hpp"
#include "objects/decref.hpp"
#include "objects/drain.hpp"
#include "platform/kept_errno.hpp"
#include "scopes/attach.hpp"
#include "scopes/attach_options.hpp"
#include "scopes/forked.hpp"

namespace pyattach {

namespace attached {
namespace {

[[gnu::noinline]] status refuse(attached_scope &scope, status why) noexcept {
    if (const thread *me = this_thread.record())
        check_storage(*me, "attached", &scope);
    scope.tag = tag::refused;
    count(event::refused);
    trace::is_refused(why);
    if (thread *me = this_thread.record())
        discard_late_record(*me);
    return why;
}

// Opens the scope after the attach has returned (invariant 2).
inline void open(frame &scope, thread &me, const attach_result &result) noexcept {
    scope.no_drain = scope.labelled = scope.deletes_tstate = false;
    scope.temporary = result.temporary;
    scope.by_finalizing_thread = result.by_finalizing_thread;
    // The tstate may hold a pending exception of other code or of a scope around this one, for example in a destructor
    // that runs while an exception propagates. This scope must not report that one.
    bool is_without_other_code = me.top == &me.base && result.presence_before == presence::outside &&
                                 result.tstate == result.participant->warm_tstate;
    scope.had_error = !is_without_other_code && !result.is_new && cpython::python().error_occurred();
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

// Attaches a thread that is not attached to the wanted interpreter, `named`. NULL: the main interpreter.
status attach(attached_scope &scope, thread &me, interpreter *named, thread_state *replaced, bool checked) noexcept {
    attach_result result = {};
    interpreter *interp = named ? named : main_interpreter();
    if (!interp && !checked) {
        cpython::interp_state *main = cpython::python().main_interpreter();
        interp = main ? find_or_make_interpreter(main) : nullptr;
        if (!interp)
            return refuse(scope, main ? PYATTACH_NO_MEMORY : refuse_not_running());
    }
    // Until the exit hook of the main interpreter is registered, each attach to it is a first one. An interpreter that
    // a handle names had a first one.
    const bool is_first =
        !interp || (checked && !named && interp->hook.load(std::memory_order_acquire) != interpreter::registered);
    trace::wants(interp);
    const status outcome =
        is_first ? attach_first(me, replaced, result) : attach_to(me, *interp, replaced, checked, result);
    if (outcome)
        return refuse(scope, outcome);
    trace::has_attached(result.interp, result.is_new ? trace::first_attach : trace::plain);
    open(scope.frame, me, result);
    interpreter &entered = *result.interp;
    if (checked) {
        lookup_or_register(me, result.tstate);
        remember_interp(me, &entered);
    }
    const participant &self = *result.participant;
    if (__builtin_expect(self.is_hook_due, 0) && checked && !is_drain_disabled() &&
        (result.is_new || result.tstate == self.warm_tstate))
        thread_hook::on_attached(me, *result.participant);
    // Also if `checked` is false: a reference enters the pool only if the end of the interpreter closes the pool.
    drain_if_allowed(entered);
    return PYATTACH_OK;
}

enum class wanted { any, main, named };

[[gnu::noinline]] status begin_general(attached_scope &scope, thread_state *tstate, wanted which, interpreter *named,
                                       bool checked) noexcept {
    if (this_thread.forbidden)
        return refuse(scope, refuse_forbidden());
    if (status missing = cpython::find())
        return refuse(scope, missing);
    if (is_python_out_of_order())
        if (status disorder = forked::repair_python())
            return refuse(scope, disorder);
    thread *me = own_record();
    if (!me)
        return refuse(scope, PYATTACH_NO_MEMORY);
    this_thread.retag();
    check_storage(*me, "attached", &scope);
    if (tstate) {
        // If `checked` is false, nothing is registered. An interpreter without a record has nothing in a pool.
        interpreter *interp =
            checked ? lookup_or_register(*me, tstate) : find_interpreter(cpython::python().interp_of(tstate));
        bool is_in_wanted = which == wanted::any || (which == wanted::named && interp == named);
        if (which == wanted::main)
            is_in_wanted = cpython::python().interp_of(tstate) == cpython::python().main_interpreter();
        if (is_in_wanted) {
            if (interp)
                drain_if_allowed(*interp);
            return nest(scope, *me);
        }
    }
    return attach(scope, *me, named, tstate, checked);
}

} // namespace

// The fast path: this thread has a warm tstate of the main interpreter, no frame is open, and the gate is open. (The
// gate of an interpreter that has ended is not open, and a thread without a frame has the presence `outside`.) In each
// other case nothing has changed yet, and begin_slow decides. The steps of the slow path stand here once more, because
// each attach executes each instruction here.
status begin_warm(attached_scope &scope, thread &me) noexcept {
    // Other code attached this thread. Or, up to 3.11, another thread holds the GIL, and this thread will wait for it
    // in any case.
    if (cpython::peek(me.current_at))
        return begin_without_frame(scope, me);
    participant &fast_participant = *me.fast_participant;
    if (__builtin_expect(!fast_participant.interp->gate.enter(fast_participant, presence::outside, true), 0))
        return begin_slow(scope);
    // No code reads the frame before it is the top one, so most of it is written before the call.
    pyattach::frame &frame = scope.frame;
    frame.begin_with(fast_head());
    frame.nested_before = me.nested_open;
    frame.below = &me.base;
    set_fast_participant(frame, fast_participant);
    cpython::restore(cpython::python(), fast_participant.warm_tstate);
    // The attach has returned (invariant 2).
    me.top = &frame;
    me.counted.add(event::attaches);
    drain_if_allowed(*frame.interp);
    return PYATTACH_OK;
}

[[gnu::noinline]] status begin_slow(attached_scope &scope) noexcept {
    const kept_errno kept;
    return begin_general(scope, current_tstate(), wanted::any, nullptr, true);
}

void end_warm(attached_scope &scope, thread &me) noexcept {
    pyattach::frame &frame = scope.frame;
    const cpython::table &py = cpython::python();
    // In an interpreter that has ended, CPython may have freed the tstate.
    if (__builtin_expect(frame.interp->gate.is_ended() || cpython::peek(me.current_at) != frame.tstate ||
                             cpython::has_exception(frame.tstate),
                         0))
        return detach_from(frame);
    cpython::save(py);
    frame.tag = tag::ended;
    me.top = &me.base;
    // Detach first, leave the gate second: the finalizing thread must not read `outside` while this thread is attached.
    frame.interp->gate.leave(*frame.participant, presence::outside, true);
}

void end_slow(attached_scope &scope) noexcept {
    const kept_errno kept;
    if (this_thread.forbidden)
        misuse("pyattach_attached_end: the thread is inside a forbidden scope.",
               "Inside tp_traverse nothing attaches or detaches.", "End the forbidden scope first.");
    end_options(scope);
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
               "A caller of pyattach_attached_assume guarantees that its thread is attached.",
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
    frame *next = me->top, *scope;
    while ((scope = readable(*me, next)) && !is_inert(*scope)) {
        nested_below = scope->nested_before;
        attached += scope->tag == tag::attached;
        next = scope->below;
        if (scope->tag == tag::detached)
            break;
    }
    if (!scope && next == &me->base && !is_inert(*next))
        nested_below = 0;
    return static_cast<int>(attached + nested - nested_below);
}

status find_main(interpreter *&found) noexcept {
    found = main_interpreter();
    if (found && found->hook.load(std::memory_order_acquire) == interpreter::registered)
        return PYATTACH_OK;
    found = nullptr;
    attached_scope scope;
    if (status refused = begin_general(scope, current_tstate(), wanted::main, nullptr, true))
        return refused;
    found = main_interpreter();
    end(scope);
    return found ? PYATTACH_OK : PYATTACH_NO_MEMORY;
}

interpreter *main() noexcept {
    interpreter *interp;
    find_main(interp);
    return interp;
}

interpreter *current() noexcept {
    thread_state *tstate = this_thread.forbidden ? nullptr : current_tstate();
    thread *me = tstate ? own_record() : nullptr;
    return me ? lookup_or_register(*me, tstate) : nullptr;
}

} // namespace attached
} // namespace pyattach
