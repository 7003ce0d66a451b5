// Warm tstate: the tstate that a native thread keeps between attaches.
#include "tstate/warm_state.hpp"

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "core/housekeeping.hpp"
#include "core/interpreter.hpp"
#include "cpython/debug_offsets.hpp"
#include "cpython/guarded.hpp"
#include "cpython/layout.hpp"
#include "cpython/tstate.hpp"
#include "objects/decref.hpp"
#include "objects/drain.hpp"
#include "tstate/new_tstate.hpp"

namespace pyattach::warm_state {
namespace {

std::atomic<int> policy{PYATTACH_THREADS_WARM};

} // namespace

void set_policy(pyattach_thread_policy wanted) noexcept { policy.store(wanted, std::memory_order_relaxed); }

bool keeps_tstates(const interpreter &interp) noexcept {
    const cpython::table &py = cpython::python();
    // The housekeeper attaches seldom, so between two rounds it keeps none. But free-threaded, a new one may cost
    // milliseconds.
    if (housekeeping::is_housekeeper() && !py.free_threaded)
        return false;
    // After its exit hook a thread cannot hand a tstate over any more.
    if (policy.load(std::memory_order_relaxed) != PYATTACH_THREADS_WARM || this_thread.ended ||
        !py.reaps_foreign_tstates)
        return false;
    // A tstate that is kept stays in the thread's GILState slot, where other code finds it. That must never be a tstate
    // of a sub-interpreter. So one of a sub-interpreter is kept only if the thread has a warm tstate of the main
    // interpreter, which the slot contains instead.
    if (interp.state == py.main_interpreter())
        return true;
    for (const participant &member : participants_of(py.sub_interpreters_keep_tstates ? this_thread.record() : nullptr))
        if (member.warm_tstate && member.interp == main_interpreter())
            return true;
    return false;
}

void hand_over(participant &self) noexcept {
    self.interp->gate.leave(self, presence::outside);
    orphan_queue(self);
    interpreter &interp = *self.interp;
    const bool has_tstate = self.warm_tstate;
    retire(self);
    if (has_tstate && !housekeeping::is_housekeeper())
        housekeeping::request_reap(interp);
}

void destroy_at_end(thread &me) noexcept {
    // An attached thread was attached by other code, maybe with the warm tstate.
    if (!cpython::python().free_threaded || this_thread.forbidden || is_python_out_of_order() || current_tstate())
        return;
    me.fast_participant = &no_participant;
    for (participant *self = me.participants; self; self = self->next_of_thread) {
        interpreter &interp = *self->interp;
        if (!self->warm_tstate || !interp.gate.enter(*self))
            continue;
        // Asked inside the gate, where the interpreter exists. Between these questions and the attach the world may be
        // stopped or get a GIL all the same. Then the thread waits until it goes on, as CPython's own threads do when
        // they end. With a GIL another thread may delete the tstate, as no thread that got the ident writes to memory
        // meanwhile.
        const bool would_wait =
            cpython::is_suspended(self->warm_tstate, true) || cpython::is_gil_enabled(interp.state, true);
        if (thread_state *tstate = would_wait ? nullptr : make_tstate(interp)) {
            no_drain_scope no_drain;
            cpython::restore(tstate);
            thread_state *own = self->warm_tstate;
            set_warm_tstate(*self, nullptr);
            destroy_detached(interp, own);
            cpython::destroy_current(tstate);
        }
        interp.gate.leave(*self, presence::outside);
    }
}

void forget_orphaned(interpreter &interp) noexcept {
    lock_registry();
    // In a fork child the gate has not ended, so vacate_locked makes the participants vacant ones.
    participant *empty = take_all_locked(interp.data->vacant), *dead = take_all_locked(interp.data->orphaned);
    for_each_locked(empty, vacate_locked);
    for_each_locked(dead, vacate_locked);
    unlock_registry();
}

status release() noexcept {
    static refusal_site in_use;
    if (this_thread.forbidden)
        return refuse_forbidden();
    thread *me = this_thread.record();
    if (!me)
        return PYATTACH_OK;
    // The call is refused also where other code has attached the thread, perhaps with the tstate to be deleted.
    if (me->top != &me->base || me->nested_open || current_tstate())
        return refused(
            PYATTACH_INVALID, in_use,
            "pyattach_thread_release: called inside a scope, or on a thread that other code has attached. What "
            "a thread keeps is deleted while nothing uses it. End the scopes of this thread first.");
    if (is_python_out_of_order())
        return refused_after_fork();
    for (participant *member = me->participants; member; member = member->next_of_thread) {
        thread_state *tstate = member->warm_tstate;
        if (!tstate)
            continue;
        set_warm_tstate(*member, nullptr);
        if (me->fast_participant == member)
            me->fast_participant = &no_participant;
        // Refused: the interpreter ends, and CPython deletes the tstate with it.
        if (!member->interp->gate.enter(*member))
            continue;
        cpython::restore(tstate);
        cpython::destroy_current(tstate);
        count(event::states_deleted);
        member->interp->gate.leave(*member, presence::outside);
    }
    return PYATTACH_OK;
}

} // namespace pyattach::warm_state
