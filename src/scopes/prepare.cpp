// Prepare: makes the warm tstate of a thread before its first attach, without attaching.
#include "scopes/prepare.hpp"

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "cpython/find.hpp"
#include "scopes/tstate_choice.hpp"
#include "tstate/reaper.hpp"
#include "tstate/warm_state.hpp"

namespace pyattach {
namespace {

// Inside the gate, so the interpreter exists meanwhile.
status prepare_inside(thread &me, participant &self) noexcept {
    static refusal_site not_kept;
    interpreter &interp = *self.interp;
    // A thread that is in a scope, or attached by other code, has its tstate. One in the GILState slot is used by the
    // next attach.
    if (self.warm_tstate || me.top != &me.base || current_tstate() || has_gilstate_tstate(me))
        return PYATTACH_OK;
    if (!warm_state::keeps_tstates(interp))
        return refused(PYATTACH_UNSUPPORTED, not_kept,
                       "pyattach_thread_prepare: this thread keeps no thread state between attaches. The policy is "
                       "PYATTACH_THREADS_SCOPED, Python is a debug build, or the thread is ending. Attach without it.");
    // The next attach deletes these before it has a tstate (reaper.hpp), so it has to make the tstate, too.
    if (cpython::python().free_threaded && is_same_ident_orphaned(interp))
        return PYATTACH_OK;
    return make_own_tstate(me, self) ? PYATTACH_OK : interp.is_cleared() ? PYATTACH_FINALIZING : PYATTACH_NO_MEMORY;
}

} // namespace

status prepare_thread() noexcept {
    static refusal_site unregistered;
    if (this_thread.forbidden)
        return refuse_forbidden();
    if (status missing = cpython::find())
        return missing;
    // This would have to attach, to put Python in order.
    if (is_python_out_of_order())
        return refused_after_fork();
    interpreter *interp = main_interpreter();
    if (!interp || interp->hook.load(std::memory_order_acquire) != interpreter::registered) {
        if (!cpython::python().is_initialized())
            return refuse_not_running();
        // Without the exit hook the library would not notice that CPython deletes the tstate.
        return refused(PYATTACH_NOT_INITIALIZED, unregistered,
                       "pyattach_thread_prepare: this library has not registered the interpreter yet. The first attach "
                       "of any thread does. Attach once, for example where the library is loaded.");
    }
    thread *me = own_record();
    participant *self = me ? find_or_make_participant(*me, *interp) : nullptr;
    status outcome = interp->is_cleared() ? PYATTACH_FINALIZING : PYATTACH_NO_MEMORY;
    if (self) {
        const presence before = self->presence_now.load(std::memory_order_relaxed);
        outcome = PYATTACH_FINALIZING;
        if (interp->gate.enter(*self, before)) {
            outcome = prepare_inside(*me, *self);
            interp->gate.leave(*self, before);
        }
    }
    if (me)
        discard_late_record(*me);
    return outcome;
}

} // namespace pyattach
