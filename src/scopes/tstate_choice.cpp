// Which tstate a thread attaches with: the four rules of ARCHITECTURE.md, "Which tstate an outermost attach chooses".
#include "scopes/tstate_choice.hpp"

#include "core/housekeeping.hpp"
#include "core/thread_hook.hpp"
#include "cpython/layout.hpp"
#include "platform/fence.hpp"
#include "tstate/new_tstate.hpp"
#include "tstate/warm_state.hpp"

namespace pyattach {
namespace {

// From 3.15 the GILState slot keeps the tstate of an ended interpreter. If the new main interpreter has the address of
// the old one, that tstate seems to belong to the new one, but attaching with it would hang forever. Before 3.15 the
// end of Python empties the slot, so a tstate with the address of an earlier one is a new tstate.
bool is_of_ended_interp(const thread &me, thread_state *tstate) noexcept {
    const cpython::table &py = cpython::python();
    if (!py.gilstate_outlives_python)
        return false;
    bool has_ended_address = tstate == me.ended_tstate;
    for (const participant &member : participants_of(me))
        has_ended_address = has_ended_address || (member.last_tstate == tstate && member.interp->is_cleared());
    // The main thread's first tstate, which has the id 1, has the same address in each runtime.
    return has_ended_address && py.tstate_id(tstate) != 1;
}

// The tstate of `interp` that a scope further out attached this thread with, or that such a scope switched away from.
thread_state *tstate_of_outer_scope(const thread &me, const interpreter &interp) noexcept {
    for (const frame &scope : open_frames(me)) {
        if (scope.inert)
            continue;
        if (scope.interp == &interp)
            return scope.tstate;
        if (scope.tag == tag::attached && scope.came_from() && scope.back == &interp)
            return scope.came_from();
    }
    return nullptr;
}

// Whether the library made this tstate for one open scope. Then the tstate is not other code's.
bool is_temporary_of_open_scope(const thread &me, const thread_state *tstate) noexcept {
    for (const frame &scope : open_frames(me))
        if (scope.tag == tag::attached && scope.tstate == tstate && scope.temporary)
            return true;
    return false;
}

// Keeps the tstate as the participant's warm one, and decides whether the thread's next attach may take the fast path.
thread_state *use_warm_tstate(thread &me, participant &self, thread_state *tstate) noexcept {
    set_warm_tstate(self, tstate);
    // The fast path does not read the GILState slot. From 3.12 attaching stores the tstate there. Up to 3.11 it
    // keeps the tstate that it held when the warm one was made. If that is another tstate, code that calls
    // PyGILState_Ensure inside a scope deadlocks, so the slot has to hold the warm one.
    const cpython::table &py = cpython::python();
    if (self.interp != main_interpreter() || (!py.attaching_binds_gilstate && py.gilstate_tstate() != tstate))
        return tstate;
    const bool is_registered = self.interp->hook.load(std::memory_order_acquire) == interpreter::registered;
    if (me.current_at == &cpython::unknown)
        me.current_at = cpython::current_at(); // the record may have been made before the layout was trusted
    const bool can_be_fast = is_registered && fences_are_asymmetric && me.current_at != &cpython::unknown;
    // The thread hook is called on the slow path.
    me.fast_participant = can_be_fast && !self.is_hook_due ? &self : &no_participant;
    return tstate;
}

} // namespace

thread_state *make_own_tstate(thread &me, participant &self) noexcept {
    interpreter &interp = *self.interp;
    // The tstate that this thread was attached with here last does not exist any more, and its address may be that of
    // another thread's tstate. Up to 3.11 that may be a forking thread, which holds the GIL: while make_tstate waits
    // for the fork, this thread would take that GIL for its own (is_own_tstate), because the participant announces
    // `attached` already, and would release it.
    self.last_tstate = nullptr;
    const bool is_housekeeper = housekeeping::is_housekeeper();
    if (is_housekeeper)
        housekeeping::tstate_lock.lock();
    thread_state *tstate = self.last_tstate = make_tstate(interp);
    if (is_housekeeper)
        housekeeping::tstate_lock.unlock();
    if (!tstate)
        return nullptr;
    count(event::states_created);
    // A tstate of an ended interpreter that had this address has been freed, so is_of_ended_interp must not find it.
    for (participant &member : participants_of(me))
        if (&member != &self && member.last_tstate == tstate)
            member.last_tstate = nullptr;
    self.is_hook_due = thread_hook::is_due_for_new_tstate();
    self.is_temporary = !warm_state::keeps_tstates(interp);
    if (!self.is_temporary)
        use_warm_tstate(me, self, tstate);
    return self.last_tstate = tstate;
}

bool has_gilstate_tstate(const thread &me) noexcept {
    thread_state *tstate = cpython::python().gilstate_tstate();
    return tstate && !is_of_ended_interp(me, tstate);
}

bool is_without_tstate(const participant &self) noexcept {
    return !self.warm_tstate && (!self.last_tstate || self.last_tstate != cpython::python().gilstate_tstate());
}

interpreter *interpreter_of(thread_state *tstate) noexcept {
    cpython::interp_state *state = cpython::python().interp_of(tstate);
    interpreter *main = main_interpreter();
    return main && main->state == state ? main : find_interpreter(state);
}

thread_state *choose_tstate(thread &me, participant &self, interpreter &interp, reap_batch &same_ident_batch,
                            attach_result &result) noexcept {
    const cpython::table &py = cpython::python();
    result.is_new = result.temporary = false;
    thread_state *gilstate_tstate = py.gilstate_tstate();
    // Rules 1 and 2 name the same tstate, and the library made it.
    if (gilstate_tstate && gilstate_tstate == self.warm_tstate)
        return use_warm_tstate(me, self, gilstate_tstate);
    const bool is_alive = gilstate_tstate && !is_of_ended_interp(me, gilstate_tstate);

    // Rule 1: the tstate in the GILState slot, if it is of this interpreter. The library uses it, and does not own it.
    // Otherwise the thread would have two tstates of one interpreter, and PyGILState_Ensure would use the other one.
    if (is_alive && py.interp_of(gilstate_tstate) == interp.state) {
        if (!is_temporary_of_open_scope(me, gilstate_tstate))
            count(event::states_adopted);
        return use_unowned_tstate(self, gilstate_tstate);
    }
    // By the other rules a tstate may take the place of this one in the GILState slot. The end of the scope stores this
    // one there again.
    if (is_alive && !result.replaced && py.attaching_binds_gilstate) {
        result.back = interpreter_of(gilstate_tstate);
        result.replaced = result.back ? gilstate_tstate : nullptr;
        result.was_detached = true;
    }

    // Rule 2: the warm tstate, which the library made for this thread. Up to 3.11 the GILState slot holds a thread's
    // first tstate, and is empty after one that was made for a scope in a sub-interpreter.
    if (self.warm_tstate) {
        if (!gilstate_tstate && py.bind_gilstate && &interp == main_interpreter())
            py.bind_gilstate(self.warm_tstate);
        return use_warm_tstate(me, self, self.warm_tstate);
    }

    // Rule 3: the tstate of a scope further out, after a scope of the library or other code has switched this thread to
    // another interpreter. That tstate lives as long as its scope. A new one would replace it as the thread's GILState
    // tstate for good. On the main thread it is the only one that may finalize Python.
    if (thread_state *outer_tstate = tstate_of_outer_scope(me, interp))
        return use_unowned_tstate(self, outer_tstate);

    // Rule 4: a new tstate, kept warm if the policy, the Python and the interpreter allow it.
    if (py.free_threaded)
        same_ident_batch.destroy_before_attach(result.was_detached ? nullptr : result.replaced);
    thread_state *tstate = make_own_tstate(me, self);
    result.is_new = tstate != nullptr;
    result.temporary = tstate && self.is_temporary;
    return tstate;
}

} // namespace pyattach
