// How a thread comes into an interpreter and leaves it.
#include "scopes/attach.hpp"
#include "scopes/tstate_choice.hpp"

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
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

// Ends the scope on top, which attached the thread, without Python: the thread keeps its state until Python's own
// after-fork has run, if it ever does.
void end_cut_off(thread &me, frame &scope) noexcept {
    pop(me, scope);
    scope.interp->gate.leave(*scope.participant, scope.presence_before);
    discard_late_record(me);
}

// While somebody else initialises Python, whether `site` is done is looked at every millisecond; after a minute it is
// taken as done, so that a program that hides `site` from sys.modules is not locked out.
constexpr int most_tries = 60000;

// Detaches from `state`, and destroys it if asked to. The gate is left by the caller, afterwards.
void leave(participant &self, thread_state *tstate, bool destroy) noexcept {
    if (destroy) {
        self.is_temporary = false;
        cpython::destroy_current(tstate);
        count(event::states_deleted);
    } else {
        cpython::save();
    }
}

// After a visit to another interpreter, on a thread that is detached now: what was there before `ended` is there again.
// Attached, if the thread was: unless that interpreter has ended meanwhile; then scopes below which its gate binds are
// inert, and a thread that other code attached is parked, as in detached::end. Else in the gilstate_tstate, for other
// code that asks for this thread's state. May block.
void restore_previous(thread &me, const frame &ended) noexcept {
    thread_state *tstate = ended.came_from();
    interpreter *back = ended.back;
    if (tstate && ended.was_detached) {
        participant *self = find_participant(me, *back);
        presence before = self ? self->inside.load(std::memory_order_relaxed) : presence::outside;
        // A thread that is inside already, below a detached scope, is let in as when that ends.
        if (!self || !(before == presence::outside ? back->gate.enter(*self) : back->gate.reenter(*self)))
            return;
        cpython::restore(tstate);
        cpython::save();
        back->gate.leave(*self, before);
        return;
    }
    // Who ends an interpreter switches back by hand.
    if (!tstate || cpython::python().current() == tstate)
        return;
    frame *below = readable_top(me);
    if (below && below->tag == tag::attached && below->participant && below->tstate == tstate) {
        if (!below->interp->gate.reenter(*below->participant) && !below->by_finalizing_thread) {
            below->inert = true;
            return;
        }
    } else if (back && back->is_cleared()) {
        cpython::park();
    } else if (reattach_guard *guard = find_reattach_guard(me, tstate)) {
        return reattach(*guard);
    }
    cpython::restore(tstate);
}

} // namespace

status attach_to(thread &me, interpreter &interp, thread_state *replaced, bool checked, attach_result &in) noexcept {
    // The GIL may be held by a thread that this child does not have.
    if (is_refused_after_fork())
        return refused_after_fork();
    in.interp = &interp;
    in.replaced = replaced;
    in.back = replaced ? whose(replaced) : nullptr;
    if (in.back && !is_of_top(me, replaced))
        make_reattach_guard(me, *in.back,
                            replaced); // the gate does not see to the way back to what other code attached
    in.by_finalizing_thread = in.was_detached = false;
    in.participant = find_participant(me, interp);
    if (!in.participant)
        return interp.is_cleared() ? PYATTACH_FINALIZING : PYATTACH_NO_MEMORY;
    reap_batch same_ident_batch(interp);
    if (cpython::python().free_threaded && !this_thread.ended && is_without_tstate(*in.participant))
        same_ident_batch.take_same_ident();
    in.presence_before = in.participant->inside.load(std::memory_order_relaxed);
    if (!interp.gate.enter(*in.participant, in.presence_before)) {
        in.by_finalizing_thread = interp.is_finalizing_thread();
        if (interp.is_cleared() || (checked && !in.by_finalizing_thread))
            return PYATTACH_FINALIZING;
        in.participant->inside.store(presence::attached, std::memory_order_relaxed);
    }
    in.tstate = choose_tstate(me, *in.participant, interp, same_ident_batch, in);
    if (!in.tstate) {
        interp.gate.leave(*in.participant, in.presence_before);
        return interp.is_cleared() ? PYATTACH_FINALIZING : PYATTACH_NO_MEMORY;
    }
    cpython::restore_over(replaced, in.tstate);
    // A thread that needs a new state pays for some of those that ended ones left; a warm one never does.
    if (__builtin_expect(in.is_new, 0) && !cpython::python().free_threaded)
        reap_some(interp);
    return PYATTACH_OK;
}

status attach_first(thread &me, thread_state *replaced, attach_result &in) noexcept {
    const cpython::table &py = cpython::python();
    for (int tries = 0;; ++tries) {
        wait_for_start();
        if (is_refused_after_fork())
            return refused_after_fork();
        // CPython's finalizing flag does not help: it stays up after the end, until the next start.
        if (!py.is_initialized() && !is_starter())
            return refuse_not_running();
        if (!prepare_fork()) // a child must know of the guard
            return PYATTACH_NO_MEMORY;
        // Where CPython offers it, a guard keeps the interpreter from ending until our gate does.
        bool refused;
        void *guard = cpython::guard_main(&refused);
        if (refused)
            return py.is_initialized() ? PYATTACH_FINALIZING : refuse_not_running();
        bool has_ended;
        interpreter *main = find_or_make_main(py.main_interpreter(), has_ended);
        if (has_ended) {
            cpython::release_guard(guard);
            continue; // and is refused, or meets the next life
        }
        status outcome = main ? attach_to(me, *main, replaced, true, in) : PYATTACH_NO_MEMORY;
        bool is_usable = true;
        if (outcome == PYATTACH_OK) {
            // A thread that was attached elsewhere proves that Python is up. The one that starts it (the first state
            // is its own), in code that `site` runs, would wait for itself.
            is_usable = replaced || tries == most_tries || py.tstate_id(in.tstate) == 1 || cpython::is_usable();
            if (is_usable)
                lookup_or_register(me, in.tstate);
            if (main->gate.is_ended())
                outcome = PYATTACH_FINALIZING;
            if (!is_usable || outcome != PYATTACH_OK) {
                leave(*in.participant, in.tstate, in.temporary);
                main->gate.leave(*in.participant, in.presence_before);
                frame visit{};
                visit.replaced = in.replaced;
                visit.back = in.back;
                visit.was_detached = in.was_detached;
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
        me->nested_open -= me->nested_in_top(); // inert as well: whoever ends one of them later finds its frame gone
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
        return end_cut_off(*me, scope);
    // Up to 3.11 this may be another thread's state, but then it is not ours: nobody else uses that.
    if (__builtin_expect(cpython::python().current() != scope.tstate, 0)) {
        if (scope.interp->gate.now() < gate::sealed)
            misuse("pyattach_attached_end: the thread is not attached.",
                   "Code inside an attached scope that lets go of the interpreter takes it back before the scope ends.",
                   "Pair PyEval_SaveThread with PyEval_RestoreThread, and thread state swaps with their opposite.");
        // Left behind by an exit, this thread was refused in somebody's re-attach; its stack is being unwound.
        scope.inert = true;
        pop(*me, scope);
        return;
    }
    if (cpython::python().error_occurred() && !scope.had_error)
        cpython::report_unraisable();
    // The frame stays until the state is destroyed: finalisers that attach meanwhile nest in it.
    leave(*scope.participant, scope.tstate, scope.temporary);
    pop(*me, scope);
    // Detach first, leave the gate second: the exit must not see us gone while we still hold a thread state.
    scope.interp->gate.leave(*scope.participant, scope.presence_before);
    if (scope.came_from())
        restore_previous(*me, scope);
    remember_interp(*me, scope.came_from() && !scope.was_detached ? scope.back : main_interpreter());
    discard_late_record(*me);
}

} // namespace pyattach
