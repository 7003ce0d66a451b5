// Attach: a thread enters the gate of an interpreter and attaches with a tstate, or detaches and leaves the gate.
#include "scopes/attach.hpp"
#include "scopes/tstate_choice.hpp"

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "core/housekeeping.hpp"
#include "core/trace.hpp"
#include "cpython/exception.hpp"
#include "cpython/guarded.hpp"
#include "cpython/guards.hpp"
#include "cpython/init.hpp"
#include "cpython/tstate.hpp"
#include "lifecycle/fork.hpp"
#include "lifecycle/registration.hpp"
#include "lifecycle/starting.hpp"
#include "platform/kept_errno.hpp"
#include "platform/uncancelled.hpp"
#include "tstate/reaper.hpp"
#include "tstate/reattach_guard.hpp"

namespace pyattach {
namespace {

// Ends the top scope, which attached the thread, in a fork child where CPython must not be called. The tstate stays
// current until Python's own after-fork (PyOS_AfterFork_Child) has run, if it ever does.
void end_without_python(thread &me, frame &scope) noexcept {
    pop(me, scope);
    scope.interp->gate.leave(*scope.participant, scope.presence_before);
    discard_late_record(me);
}

// Other code may still be initializing Python. So attach_first checks every millisecond whether `site` has been
// imported. After this many tries, a minute, it assumes so, because a program may have removed `site` from sys.modules.
constexpr int most_site_tries = 60000;

// Detaches, and destroys the tstate if `destroy` is set. The caller leaves the gate afterwards.
void detach_or_destroy(participant &self, thread_state *tstate, bool destroy) noexcept {
    if (destroy) {
        self.is_temporary = false;
        cpython::destroy_current(tstate);
        count(event::states_deleted);
    } else {
        cpython::save();
    }
}

// Detaches by deleting the tstate, which routed code has cleared. Clearing it once more would take it out of a list of
// CPython's twice, which free-threaded ends the process.
void delete_cleared(thread &me, participant &self, thread_state *tstate, bool is_temporary) noexcept {
    const bool is_warm = tstate == self.warm_tstate;
    if (is_warm) {
        set_warm_tstate(self, nullptr);
        if (me.fast_participant == &self)
            me.fast_participant = &no_participant;
    }
    if (is_temporary)
        self.is_temporary = false;
    cpython::guarded([] { cpython::python().tstate_delete_current(); });
    if (is_warm || is_temporary)
        count(event::states_deleted);
}

// Restores the tstate that the scope `ended` replaced, on a thread that has detached. If the tstate was attached, it is
// attached again, and if it was only in the GILState slot, it is stored there again for other code that calls
// PyGILState_*. If its interpreter has ended meanwhile, a scope below that the gate binds becomes inert, and a thread
// that other code attached is parked, as in detached::end. May block.
void restore_previous(thread &me, const frame &ended) noexcept {
    thread_state *tstate = ended.came_from();
    interpreter *back = ended.back;
    if (tstate && ended.was_detached) {
        participant *self = find_or_make_participant(me, *back);
        presence before = self ? self->presence_now.load(std::memory_order_relaxed) : presence::outside;
        // A thread that is inside already, below a detached scope, may enter as long as that scope could end.
        if (!self || !(before == presence::outside ? back->gate.enter(*self) : back->gate.reenter(*self)))
            return;
        cpython::restore(tstate);
        cpython::save();
        back->gate.leave(*self, before);
        return;
    }
    // Code that ended the interpreter inside the scope has switched back already.
    if (!tstate || cpython::python().current() == tstate)
        return;
    trace::wants(back, trace::again);
    frame *below = readable_top(me);
    if (below && below->tag == tag::attached && below->participant && below->tstate == tstate) {
        if (!below->interp->gate.reenter(*below->participant) && !below->by_finalizing_thread) {
            below->inert = true;
            trace::is_refused(PYATTACH_FINALIZING, back);
            return;
        }
    } else if (back && back->is_cleared()) {
        cpython::park();
    } else if (reattach_guard *guard = find_reattach_guard(me, tstate)) {
        reattach(*guard);
        return trace::has_attached(back, trace::again);
    }
    cpython::restore(tstate);
    trace::has_attached(back, trace::again);
}

// The gate has refused the thread. Between the exit hook and CPython's finalizing flag run the atexit callbacks that
// are older than the hook, where they cannot run before it. One of them may wait for this thread, and its author could
// not tell why the thread does not come.
status refuse_at_end(const interpreter &interp) noexcept {
    static refusal_site older_callback;
    const cpython::table &py = cpython::python();
    if (py.exit_functions_in_place || &interp != main_interpreter() || interp.gate.now() != gate::ended ||
        py.is_finalizing())
        return PYATTACH_FINALIZING;
    return refused(PYATTACH_FINALIZING, older_callback,
                   "pyattach_attached_begin: refused, because Python is ending: the exit hook of this library has run, "
                   "and atexit callbacks that are older run now. If one of them waits for this thread, let the library "
                   "be registered before it: call pyattach_interpreter_current() where the module is initialized.");
}

} // namespace

status attach_to(thread &me, interpreter &interp, thread_state *replaced, bool checked,
                 attach_result &result) noexcept {
    // In such a fork child the GIL may be held by a thread of the parent that is not in the child.
    if (is_refused_after_fork())
        return refused_after_fork();
    result.interp = &interp;
    result.replaced = replaced;
    result.back = replaced ? interpreter_of(replaced) : nullptr;
    if (result.back && !is_of_top(me, replaced))
        // Other code attached the thread there, so the gate does not bind it.
        make_reattach_guard(me, *result.back, replaced);
    result.by_finalizing_thread = result.was_detached = false;
    result.participant = find_or_make_participant(me, interp);
    if (!result.participant)
        return interp.is_cleared() ? PYATTACH_FINALIZING : PYATTACH_NO_MEMORY;
    reap_batch same_ident_batch(interp);
    if (cpython::python().free_threaded && !this_thread.ended && is_without_tstate(*result.participant))
        same_ident_batch.take_same_ident();
    result.presence_before = result.participant->presence_now.load(std::memory_order_relaxed);
    if (!interp.gate.enter(*result.participant, result.presence_before)) {
        result.by_finalizing_thread = interp.is_finalizing_thread();
        if (interp.is_cleared() || (checked && !result.by_finalizing_thread))
            return refuse_at_end(interp);
        result.participant->presence_now.store(presence::attached, std::memory_order_relaxed);
    }
    result.tstate = choose_tstate(me, *result.participant, interp, same_ident_batch, result);
    if (!result.tstate) {
        interp.gate.leave(*result.participant, result.presence_before);
        return interp.is_cleared() ? PYATTACH_FINALIZING : PYATTACH_NO_MEMORY;
    }
    cpython::restore_over(replaced, result.tstate);
    if (__builtin_expect(housekeeping::is_housekeeper(), 0))
        housekeeping::is_at_work.store(true, std::memory_order_relaxed);
    // A thread that had to make a tstate deletes some tstates of ended threads. A thread with a warm tstate never does.
    if (__builtin_expect(result.is_new, 0) && !cpython::python().free_threaded)
        reap_some(interp);
    return PYATTACH_OK;
}

status attach_first(thread &me, thread_state *replaced, attach_result &result) noexcept {
    const cpython::table &py = cpython::python();
    for (int tries = 0;; ++tries) {
        wait_for_start();
        if (is_refused_after_fork())
            return refused_after_fork();
        // CPython's finalizing flag is not used, because it stays set after the end, until the next start.
        if (!py.is_initialized() && !is_starter())
            return refuse_not_running();
        if (!prepare_fork()) // before the guard, which a fork child has to release
            return PYATTACH_NO_MEMORY;
        // Where CPython has guards, one keeps the interpreter from ending until the exit hook is registered.
        bool refused;
        void *guard = cpython::guard_main(&refused);
        if (refused)
            return py.is_initialized() ? PYATTACH_FINALIZING : refuse_not_running();
        bool has_ended;
        interpreter *main = find_or_make_main(py.main_interpreter(), has_ended);
        if (has_ended) {
            cpython::release_guard(guard);
            continue; // no Python runs now, or the next one has started
        }
        status outcome = main ? attach_to(me, *main, replaced, true, result) : PYATTACH_NO_MEMORY;
        bool is_usable = true;
        if (outcome == PYATTACH_OK) {
            // A thread that was attached to another interpreter proves that Python is initialized. The thread that
            // initializes it, whose tstate is the first one, may run code of `site`, and would wait for itself.
            is_usable =
                replaced || tries == most_site_tries || py.tstate_id(result.tstate) == 1 || cpython::is_usable();
            if (is_usable)
                lookup_or_register(me, result.tstate);
            if (main->gate.is_ended())
                outcome = PYATTACH_FINALIZING;
            if (!is_usable || outcome != PYATTACH_OK) {
                detach_or_destroy(*result.participant, result.tstate, result.temporary);
                main->gate.leave(*result.participant, result.presence_before);
                frame visit{};
                visit.replaced = result.replaced;
                visit.back = result.back;
                visit.was_detached = result.was_detached;
                restore_previous(me, visit);
            }
        }
        cpython::release_guard(guard);
        if (is_usable)
            return outcome;
        sleep_uncancelled(1000000);
    }
}

void detach_from(frame &scope) noexcept {
    const kept_errno kept;
    thread *me = this_thread.record();
    if (!me || me->top != &scope)
        misuse("pyattach_attached_end: the scope that attached is ended while another scope is open inside it, or on "
               "another thread.",
               "The scope that attached a thread ends last, on that thread.",
               "End the scopes inside it first; keep scopes in automatic storage.");
    if (is_inert(scope)) {
        // The nested scopes in this frame are inert too. The end of one of them finds that its frame has ended.
        me->nested_open -= me->nested_in_top();
        pop(*me, scope);
        if (scope.came_from() && !scope.interp->is_finalizing_thread() && !is_cut_off())
            restore_previous(*me, scope);
        discard_late_record(*me);
        return;
    }
    if (me->nested_in_top())
        misuse("pyattach_attached_end: the scope that attached is ended while attached scopes nested in it are open.",
               "The scope that attached a thread ends last.", "End the nested scopes first.");
    if (is_cut_off())
        return end_without_python(*me, scope);
    // Up to 3.11 the current tstate is that of the thread that holds the GIL. If that is another thread, its tstate is
    // not this scope's, which only this thread uses.
    if (__builtin_expect(cpython::python().current() != scope.tstate, 0)) {
        if (scope.interp->gate.now() < gate::sealed)
            misuse("pyattach_attached_end: the thread is not attached.",
                   "Code inside an attached scope that detaches the thread attaches it again before the scope ends.",
                   "Pair PyEval_SaveThread with PyEval_RestoreThread, and thread state swaps with their opposite.");
        // The interpreter is finalizing. CPython refused the re-attach of this thread by other code, and unwinds its
        // stack.
        scope.inert = true;
        pop(*me, scope);
        return;
    }
    if (cpython::python().error_occurred() && !scope.had_error)
        cpython::report_unraisable();
    trace::leaves(scope.interp);
    // The frame stays on top until the tstate is destroyed, because finalizers that attach meanwhile nest in it.
    if (scope.deletes_tstate)
        delete_cleared(*me, *scope.participant, scope.tstate, scope.temporary);
    else
        detach_or_destroy(*scope.participant, scope.tstate, scope.temporary);
    pop(*me, scope);
    // Detach first, leave the gate second: the finalizing thread must not read `outside` while this thread is attached.
    scope.interp->gate.leave(*scope.participant, scope.presence_before);
    if (scope.came_from())
        restore_previous(*me, scope);
    remember_interp(*me, scope.came_from() && !scope.was_detached ? scope.back : main_interpreter());
    discard_late_record(*me);
}

} // namespace pyattach
