// Detached: other threads may run Python meanwhile.
#include "scopes/detached.hpp"

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "core/interpreter.hpp"
#include "core/trace.hpp"
#include "cpython/guarded.hpp"
#include "cpython/layout.hpp"
#include "lifecycle/fork.hpp"
#include "lifecycle/registration.hpp"
#include "objects/decref.hpp"
#include "objects/drain.hpp"
#include "platform/kept_errno.hpp"
#include "scopes/forked.hpp"
#include "tstate/reattach_guard.hpp"

namespace pyattach::detached {
namespace {

void check_storage(const detached_scope &scope) noexcept {
    if (const thread *me = this_thread.record())
        pyattach::check_storage(*me, "detached", &scope);
}

status refuse(detached_scope &scope, status why) noexcept {
    check_storage(scope);
    scope.tag = tag::refused;
    return why;
}

[[noreturn]] void report_misuse(const detached_scope &scope) noexcept {
    if (scope.tag != tag::detached)
        not_open("detached", scope.tag);
    if (this_thread.forbidden)
        misuse("pyattach_detached_end: the thread is inside a forbidden scope.",
               "Inside tp_traverse nothing attaches or detaches.", "End the forbidden scope first.");
    misuse("pyattach_detached_end: another scope is still open inside this one, or it was begun on another thread.",
           "Detached scopes end innermost first, on their own thread.", "End the attached scopes inside it first.");
}

// Lets the finalizing thread in after the gate has refused it. False: this is another thread.
[[gnu::noinline]] bool readmit_finalizing_thread(const pyattach::frame &frame) noexcept {
    if (!frame.interp->is_finalizing_thread())
        return false;
    frame.participant->presence_now.store(presence::attached, std::memory_order_relaxed);
    return true;
}

// Whether the tstate to re-attach may have been freed with its interpreter. The thread was attached by other code, so
// the gate does not bind it. Until the tstate is freed CPython decides: it attaches the thread, hangs it, or ends it
// (up to 3.13.7, by unwinding all frames of the thread, which `guarded` turns into parking).
bool is_tstate_freed(const pyattach::frame &frame) noexcept {
    if (frame.by_finalizing_thread)
        return false;
    return frame.interp ? frame.interp->is_cleared() : cpython::python().is_finalizing() != 0;
}

// Re-attaches a thread that the gate does not bind. Parks it if its tstate is freed, or if CPython refuses it.
[[gnu::noinline]] void reattach_without_gate(const pyattach::frame &frame) noexcept {
    if (is_tstate_freed(frame))
        cpython::park();
    if (frame.reattach_guard)
        reattach(*frame.reattach_guard);
    else
        cpython::restore(frame.tstate);
}

// Ends the detached scope without re-attaching, and returns `why`. The frame below, which attached to the interpreter,
// becomes inert. Frames further out need not, because each detached scope there re-attaches for itself.
[[gnu::noinline]] status end_refused(thread &me, status why) noexcept {
    trace::is_refused(why, me.top->interp);
    pop(me, *me.top);
    if (me.top == &me.base || readable_top(me))
        me.top->inert = true;
    return why;
}

// Detaches and opens the scope. `self`: the participant in the gate that binds the scope; NULL: none binds it.
status open(pyattach::frame &frame, thread &me, thread_state *tstate, interpreter *interp, participant *self,
            bool is_finalizing_thread) noexcept {
    frame.by_finalizing_thread = is_finalizing_thread;
    frame.tstate = tstate;
    frame.interp = interp;
    frame.participant = self;
    trace::detaches(interp);
    cpython::save();
    push(me, frame, tag::detached);
    me.counted.add(event::detaches);
    if (self)
        self->interp->gate.leave(*self, presence::detached);
    return PYATTACH_OK;
}

status begin_general(detached_scope &scope) noexcept {
    if (this_thread.forbidden)
        return refuse(scope, refuse_forbidden());
    if (is_cut_off())
        return refuse(scope, refused_after_fork());
    thread_state *tstate = current_tstate();
    if (!tstate)
        return refuse(scope, PYATTACH_NOT_ATTACHED);
    thread *me = own_record();
    if (!me)
        return refuse(scope, PYATTACH_NO_MEMORY);
    check_storage(scope);
    interpreter *interp = lookup_or_register(*me, tstate);
    // The gate binds a thread that this library attached. On another thread a detached scope does what
    // Py_BEGIN_ALLOW_THREADS does.
    const frame *below = readable_top(*me);
    participant *self =
        below && below->tag == tag::attached && below->interp == interp && !below->inert ? below->participant : nullptr;
    scope.frame.reattach_guard = !self && interp ? make_reattach_guard(*me, *interp, tstate) : nullptr;
    // A thread that is attached after CPython has set its finalizing flag is the finalizing thread.
    return open(scope.frame, *me, tstate, interp, self, !interp && cpython::python().is_finalizing());
}

} // namespace

// The fast path writes less, and knows that the fences are asymmetric. The interpreter and the tstate are copied from
// the fast participant, because the top frame may be unreadable.
status begin_warm(detached_scope &scope, thread &me) noexcept {
    // No code reads the frame before it is the top one, so most of it is written before the call.
    pyattach::frame &frame = scope.frame;
    participant &fast_participant = *me.fast_participant;
    frame.begin_with(fast_head(tag::detached));
    frame.nested_before = me.nested_open;
    frame.below = me.top;
    frame.sum = fast_sum_of(frame.below);
    set_fast_participant(frame, fast_participant);
    cpython::save();
    me.top = &frame;
    me.counted.add(event::detaches);
    frame.interp->gate.leave(*frame.participant, presence::detached, true);
    return PYATTACH_OK;
}

status end_warm(detached_scope &scope, thread &me) noexcept {
    const pyattach::frame &frame = scope.frame;
    interpreter *interp = frame.interp;
    if (__builtin_expect(!interp->gate.reenter(*frame.participant, true), 0) && !readmit_finalizing_thread(frame))
        return end_refused(me, PYATTACH_FINALIZING);
    cpython::restore(frame.tstate);
    // The re-attach has returned (invariant 2).
    pop(me, scope.frame);
    drain_if_allowed(*interp);
    return PYATTACH_OK;
}

// No frame is open, so none is in the storage.
status begin_ungated(detached_scope &scope, thread &me) noexcept {
    const cpython::table &py = cpython::python();
    thread_state *tstate = cpython::peek(me.current_at);
    // The tstate is read only if it is this thread's.
    if (__builtin_expect(me.top != &me.base || !tstate || !is_own_current(py, tstate) ||
                             !is_last_interp(me, cpython::interp_in(tstate)),
                         0))
        return begin_slow(scope);
    reattach_guard *guard = nullptr;
    if (py.end_frees_tstates && !(guard = newest_reattach_guard(me, *me.last_interp, tstate)))
        return begin_slow(scope);
    pyattach::frame &frame = scope.frame;
    frame.begin_with(ungated_head());
    frame.nested_before = me.nested_open;
    frame.below = &me.base;
    frame.interp = me.last_interp;
    frame.tstate = tstate;
    frame.participant = nullptr;
    frame.reattach_guard = guard;
    frame.sum = sum_of(frame);
    cpython::save(py);
    me.top = &frame;
    me.counted.add(event::detaches);
    return PYATTACH_OK;
}

status end_ungated(detached_scope &scope, thread &me) noexcept {
    const pyattach::frame &frame = scope.frame;
    const bool is_ungated = frame.head() == ungated_head() && me.top == &frame && me.nested_open == frame.nested_before;
    // The interpreter is read only after the frame has proved to be that of an open scope.
    interpreter *interp = frame.interp;
    if (__builtin_expect(!is_ungated || interp->is_cleared(), 0))
        return end_slow(scope);
    if (frame.reattach_guard)
        reattach(*frame.reattach_guard);
    else
        cpython::restore(frame.tstate);
    // The re-attach has returned (invariant 2).
    pop(me, scope.frame);
    drain_if_allowed(*interp);
    return PYATTACH_OK;
}

status begin_slow(detached_scope &scope) noexcept {
    const kept_errno kept;
    this_thread.retag();
    thread *const fast = this_thread.fast_record();
    if (!fast)
        return begin_general(scope);
    thread &me = *fast;
    // Without a call of CPython: whether a scope of this library attached the thread with the current tstate.
    thread_state *tstate = cpython::peek(me.current_at);
    const frame *top = tstate && is_of_top(me, tstate) ? readable_top(me) : nullptr;
    if (!top || top->inert || top->interp->gate.is_ended())
        return begin_general(scope);
    check_storage(scope);
    return open(scope.frame, me, tstate, top->interp, top->participant, false);
}

status end_slow(detached_scope &scope) noexcept {
    const kept_errno kept;
    pyattach::frame &frame = scope.frame;
    thread *me = this_thread.record();
    if (__builtin_expect(
            frame.tag != tag::detached || !me || me->top != &frame || me->nested_in_top() || this_thread.forbidden, 0))
        report_misuse(scope);
    if (is_cut_off()) {
        if (frame.participant)
            return end_refused(*me, refused_after_fork());
        pop(*me, frame);
        return refused_after_fork();
    }
    trace::wants(frame.interp, trace::again);
    if (frame.participant) {
        if (__builtin_expect(!frame.interp->gate.reenter(*frame.participant), 0) && !readmit_finalizing_thread(frame))
            return end_refused(*me, PYATTACH_FINALIZING);
        cpython::restore(frame.tstate);
    } else {
        reattach_without_gate(frame);
    }
    // The re-attach has returned (invariant 2).
    pop(*me, frame);
    trace::has_attached(frame.interp, trace::again);
    if (is_python_out_of_order())
        forked::repair_python_attached();
    if (frame.interp)
        drain_if_allowed(*frame.interp);
    discard_late_record(*me);
    return PYATTACH_OK;
}

} // namespace pyattach::detached
