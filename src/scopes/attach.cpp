// How a thread comes into an interpreter and leaves it.
#include "scopes/attach.hpp"

#include "base/diagnostics.hpp"
#include "lifecycle/fork.hpp"
#include "platform/kept_errno.hpp"
#include "tstate/reaper.hpp"
#include "host/start.hpp"
#include "tstate/reattach_guard.hpp"
#include "platform/uncancelled.hpp"
#include "tstate/warm_state.hpp"

namespace pyattach {
namespace {

// While somebody else initialises Python, whether `site` is done is looked at every millisecond; after a minute it is
// taken as done, so that a program that hides `site` from sys.modules is not locked out.
constexpr int most_tries = 60000;

// 3.15 keeps what PyGILState looks at through the end of the runtime: the state of an ended life, which seems to belong
// to the new main interpreter, since that has the old one's address. Attaching it hangs for ever. (Before, the
// gilstate_tstate is empty then, and an equal address is a new state's.)
bool is_of_ended_life(const thread &me, thread_state *tstate) noexcept {
    const cpython::table &py = cpython::python();
    if (!py.gilstate_outlives_python)
        return false;
    bool is_ours = tstate == me.base.tstate; // see thread::ended_tstate
    for (const participant *member = me.participants; member && !is_ours; member = member->next_of_thread)
        is_ours = member->last == tstate && member->interp->is_cleared.load(std::memory_order_acquire);
    // The main thread's first state has the same address in every life.
    return is_ours && py.tstate_id(tstate) != 1;
}

// The state of `where` that this thread let go of further out, in a detached scope or to switch to another interpreter.
thread_state *suspended(const thread &me, const interpreter &interp) noexcept {
    for (const frame &scope : open_frames(me)) {
        if (scope.dead)
            continue;
        if (scope.interp == &interp)
            return scope.tstate;
        if (scope.tag == tag::attached && scope.came_from() && scope.back == &interp)
            return scope.came_from();
    }
    return nullptr;
}

// It has neither a state of its own there nor the one that other code last attached it with. Compared and not looked
// into: what is in the gilstate_tstate may be of an ended life.
bool is_without_tstate(const participant &self) noexcept {
    return !self.warm && (!self.last || self.last != cpython::python().gilstate_tstate());
}

// The record of the interpreter that a state of this thread is of; NULL: it never met the library.
interpreter *whose(thread_state *tstate) noexcept {
    cpython::interp_state *its = cpython::python().interp_of(tstate);
    interpreter *main = main_interpreter();
    return main && main->state == its ? main : find_interpreter(its);
}

// A gap inside a scope whose state was made for it: that is nobody else's either.
bool is_of_scope(const thread &me, const thread_state *tstate) noexcept {
    for (const frame &scope : open_frames(me))
        if (scope.tag == tag::attached && scope.tstate == tstate && scope.temporary)
            return true;
    return false;
}

thread_state *keep(thread &me, participant &self, thread_state *tstate) noexcept {
    self.warm = tstate;
    // The short way in does not ask for the gilstate_tstate. From 3.12 attaching binds it; before, it stays what it was
    // when the state was made, and code that calls PyGILState_Ensure inside a scope would deadlock if it were another.
    const cpython::table &py = cpython::python();
    if (self.interp != main_interpreter() || (!py.attaching_binds_gilstate && py.gilstate_tstate() != tstate))
        return tstate;
    bool is_registered = self.interp->hook.load(std::memory_order_acquire) == interpreter::registered;
    if (me.current_at == &cpython::unknown)
        me.current_at = cpython::current_at(); // the record may be older than what is known of CPython
    me.fast_participant() =
        is_registered && fences_are_asymmetric && me.current_at != &cpython::unknown ? &self : &no_participant;
    return tstate;
}

// The state to attach with. NULL: no memory.
thread_state *choose(thread &me, participant &self, interpreter &interp, reap_batch &same_ident_batch,
                     attach_result &in) noexcept {
    const cpython::table &py = cpython::python();
    // One thread must not have two states of one interpreter where PyGILState_* looks: what is there is used, and never
    // owned.
    thread_state *tstate = py.gilstate_tstate();
    in.is_new = in.temporary = false;
    if (tstate && tstate == self.warm)
        return keep(me, self, tstate);
    if (tstate && py.interp_of(tstate) == interp.state && !is_of_ended_life(me, tstate)) {
        count(event::states_adopted, is_of_scope(me, tstate) ? 0 : 1);
        return use(self, tstate);
    }
    // Attaching another one takes this one out of the gilstate_tstate.
    if (tstate && !in.replaced && py.attaching_binds_gilstate && !is_of_ended_life(me, tstate)) {
        in.back = whose(tstate);
        in.replaced = in.back ? tstate : nullptr;
        in.was_detached = true;
    }
    if (self.warm) {
        // Up to 3.11 the gilstate_tstate holds a thread's first state, and is empty after one of a sub-interpreter's
        // scope.
        if (!tstate && py.bind_gilstate && &interp == main_interpreter())
            py.bind_gilstate(self.warm);
        return keep(me, self, self.warm);
    }
    // A scope further out attached this thread here, and it was moved elsewhere since, by a scope of ours or by other
    // code. That state lives as long as the scope; a second one would take its place for good, on the main thread that
    // of the only one that may stop.
    if ((tstate = suspended(me, interp)))
        return use(self, tstate);
    // Made on the thread that will use it: CPython binds a state to the thread that makes it.
    if (py.free_threaded)
        same_ident_batch.destroy_before_coming(in.was_detached ? nullptr : in.replaced);
    if (!(tstate = make_tstate(interp)))
        return nullptr;
    count(event::states_created);
    // No ended life has a state there any more.
    for (participant *member = me.participants; member; member = member->next_of_thread)
        member->last = member->last == tstate ? nullptr : member->last;
    in.is_new = true;
    in.temporary = self.is_temporary = !warm_state::is_kept(interp);
    if (!in.temporary)
        keep(me, self, tstate);
    return self.last = tstate;
}

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
        uint8_t before = self ? self->inside.load(std::memory_order_relaxed) : uint8_t{presence::outside};
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
            below->dead = true;
            return;
        }
    } else if (back && back->is_cleared.load(std::memory_order_acquire)) {
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
        return interp.is_cleared.load(std::memory_order_acquire) ? PYATTACH_FINALIZING : PYATTACH_NO_MEMORY;
    reap_batch same_ident_batch(interp);
    if (cpython::python().free_threaded && !this_thread.ended && is_without_tstate(*in.participant))
        same_ident_batch.take_same_ident();
    in.inside_below = in.participant->inside.load(std::memory_order_relaxed);
    if (!interp.gate.enter(*in.participant)) {
        in.by_finalizing_thread = interp.is_finalizing_thread();
        if (interp.is_cleared.load(std::memory_order_acquire) || (checked && !in.by_finalizing_thread))
            return PYATTACH_FINALIZING;
        in.participant->inside.store(presence::attached, std::memory_order_relaxed);
    }
    in.tstate = choose(me, *in.participant, interp, same_ident_batch, in);
    if (!in.tstate) {
        interp.gate.leave(*in.participant, in.inside_below);
        return interp.is_cleared.load(std::memory_order_acquire) ? PYATTACH_FINALIZING : PYATTACH_NO_MEMORY;
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
        interpreter *main = find_or_make_interpreter(py.main_interpreter());
        status outcome = main ? attach_to(me, *main, replaced, true, in) : PYATTACH_NO_MEMORY;
        bool is_usable = true;
        if (outcome == PYATTACH_OK) {
            // A thread that was attached elsewhere proves that Python is up. The one that starts it (the first state
            // is its own), in code that `site` runs, would wait for itself.
            is_usable = replaced || tries == most_tries || py.tstate_id(in.tstate) == 1 || cpython::is_usable();
            if (is_usable)
                lookup_or_register(me, in.tstate);
            if (main->gate.is_dead())
                outcome = PYATTACH_FINALIZING;
            if (!is_usable || outcome != PYATTACH_OK) {
                leave(*in.participant, in.tstate, in.temporary);
                main->gate.leave(*in.participant, in.inside_below);
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
        me->nested_ended() += me->nested_in_top(); // inert as well: whoever ends one of them later finds its frame gone
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
        scope.dead = true;
        pop(*me, scope);
        return;
    }
    if (cpython::python().error_occurred() && !scope.had_error)
        cpython::report_unraisable();
    // The frame stays until the state is destroyed: finalisers that attach meanwhile nest in it.
    leave(*scope.participant, scope.tstate, scope.temporary);
    pop(*me, scope);
    // Detach first, leave the gate second: the exit must not see us gone while we still hold a thread state.
    scope.interp->gate.leave(*scope.participant, scope.inside_below);
    if (scope.came_from())
        restore_previous(*me, scope);
    remember_interp(*me, scope.came_from() && !scope.was_detached ? scope.back : main_interpreter());
    discard_late_record(*me);
}

} // namespace pyattach
