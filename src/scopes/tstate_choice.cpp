// Which tstate a thread attaches with.
#include "scopes/tstate_choice.hpp"

#include "cpython/layout.hpp"
#include "platform/fence.hpp"
#include "tstate/new_tstate.hpp"
#include "tstate/warm_state.hpp"

namespace pyattach {
namespace {

// 3.15 keeps what PyGILState looks at through the end of the runtime: the state of an ended life, which seems to belong
// to the new main interpreter, since that has the old one's address. Attaching it hangs for ever. (Before, the
// gilstate_tstate is empty then, and an equal address is a new state's.)
bool is_of_ended_life(const thread &me, thread_state *tstate) noexcept {
    const cpython::table &py = cpython::python();
    if (!py.gilstate_outlives_python)
        return false;
    bool is_ours = tstate == me.ended_tstate;
    for (const participant *member = me.participants; member && !is_ours; member = member->next_of_thread)
        is_ours = member->last == tstate && member->interp->is_cleared();
    // The main thread's first state has the same address in every life.
    return is_ours && py.tstate_id(tstate) != 1;
}

// The state of `where` that this thread let go of further out, in a detached scope or to switch to another interpreter.
thread_state *suspended(const thread &me, const interpreter &interp) noexcept {
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
    me.fast_participant =
        is_registered && fences_are_asymmetric && me.current_at != &cpython::unknown ? &self : &no_participant;
    return tstate;
}

} // namespace

bool is_without_tstate(const participant &self) noexcept {
    return !self.warm && (!self.last || self.last != cpython::python().gilstate_tstate());
}

interpreter *whose(thread_state *tstate) noexcept {
    cpython::interp_state *its = cpython::python().interp_of(tstate);
    interpreter *main = main_interpreter();
    return main && main->state == its ? main : find_interpreter(its);
}

thread_state *choose_tstate(thread &me, participant &self, interpreter &interp, reap_batch &same_ident_batch,
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
    // What this thread had here last is gone. Its address may be another thread's state by now, up to 3.11 that of a
    // thread that forks with the GIL: while make_tstate waits for the fork, it would take that GIL for this thread's,
    // as the participant says attached already, and let go of it.
    self.last = nullptr;
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

} // namespace pyattach
