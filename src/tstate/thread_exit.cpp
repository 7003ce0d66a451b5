// Thread exit: what the library does when a thread ends, also inside scopes.
//
// When a thread ends inside its scopes (by pthread_exit, by pthread_cancel, by a return in C), their storage no longer
// exists, so this file does not read it. The thread's record and participants contain what is needed: in which
// interpreters the thread is inside, whether it is attached or detached there, and with which tstate.
#include "core/upcalls.hpp"

#include <cerrno>
#include <cstdio>

#include "base/diagnostics.hpp"
#include "core/current.hpp"
#include "core/interpreter.hpp"
#include "core/section.hpp"
#include "core/thread_hook.hpp"
#include "cpython/guarded.hpp"
#include "cpython/tstate.hpp"
#include "platform/exit_key.hpp"
#include "platform/native_thread.hpp"
#include "tstate/reattach_guard.hpp"
#include "tstate/warm_state.hpp"

namespace pyattach {

namespace {

void forget(thread &me) noexcept {
    while (participant *member = me.participants) {
        unlink_of_thread(me.participants, *member);
        warm_state::hand_over(*member);
    }
    drop_reattach_guards(me);
    forget_routing(me);
    this_thread.tag(nullptr);
    discard(me);
}

// Whether CPython has emptied the GILState slot of this ending thread. Its pthread key is older than this library's, so
// its destructor runs first. Up to 3.11 attaching does not store the tstate in the slot again, and from 3.12 it does so
// only with a tstate that was not in the slot before. So from now on an attach needs a new tstate, which is stored in
// the slot. If the thread attached with its warm tstate, code that calls PyGILState_Ensure would make a second tstate
// and wait for itself, and the debugging allocator would end the process. The slot is read inside the gate, because
// finalization deletes it.
bool is_gilstate_lost(const thread &me) noexcept {
    participant *self = me.participants;
    while (self && !(self->warm_tstate && self->interp == main_interpreter()))
        self = self->next_of_thread;
    const presence before = self ? self->presence_now.load(std::memory_order_relaxed) : presence::outside;
    if (!self || !self->interp->gate.enter(*self, before))
        return false;
    const bool is_lost = !cpython::python().gilstate_tstate();
    self->interp->gate.leave(*self, before);
    return is_lost;
}

// The participant in the interpreter to which a scope of this library has attached the thread with `tstate`, the
// current one. NULL: there is none; other code may have attached the thread, and the library does not detach a tstate
// of other code.
participant *attached_by_scope(const thread &me, const thread_state *tstate) noexcept {
    for (participant &self : participants_of(tstate ? &me : nullptr))
        if (self.presence_now.load(std::memory_order_relaxed) == presence::attached && !self.interp->gate.is_ended() &&
            (tstate == self.warm_tstate || tstate == self.last_tstate))
            return &self;
    return nullptr;
}

void release_tstate(participant &self, thread_state *tstate) noexcept {
    // A tstate that was made for the scope is destroyed with it, as the scope's own end does. But if CPython does not
    // find the tstate in the GILState slot (see is_gilstate_lost), its debugging allocator and its assertions would end
    // the process. Then the tstate is left to the reaper. (Up to 3.11 they do not check that once there are
    // sub-interpreters.)
    const cpython::table &py = cpython::python();
    const bool is_found = py.gilstate_tstate() || (!py.attaching_binds_gilstate && self.interp != main_interpreter());
    if (self.is_temporary && tstate == self.last_tstate && is_found) {
        self.is_temporary = false;
        cpython::destroy_current(tstate);
        count(event::states_deleted);
    } else {
        cpython::save();
    }
}

void report_open_scope(const char *label, const char *kind, const char *consequence) noexcept {
    const pid_t id = own_native_id();
    char name[32];
    name_of(id, name);
    report("thread %d (%s)%s%s ended with %s scope open. %s A scope ends before its thread does: end it on every way "
           "out, in C also where pthread_exit, pthread_cancel (pthread_cleanup_push) or longjmp leaves it.",
           static_cast<int>(id), name, label[0] ? ": " : "", label, kind, consequence);
}

// The label of one of its scopes; "": none has one. From now on the string may be freed.
void take_label(thread &me, char (&label)[64]) noexcept {
    copy_label(nullptr, label);
    for (participant &self : participants_of(me)) {
        if (self.label)
            copy_label(self.label, label);
        self.interp->gate.clear_label(self);
    }
}

// Ends everything that is open on this thread. It detaches first, and leaves the gate second (invariant 2).
void end_open_scopes(thread &me) noexcept {
    thread_state *tstate = current_tstate();
    participant *attached = attached_by_scope(me, tstate);
    bool was_detached = false;
    char label[64];
    take_label(me, label);
    const bool can_detach = !attached || abandon_sections(me);
    if (attached && can_detach)
        release_tstate(*attached, tstate);
    for (participant &self : participants_of(me)) {
        const presence before = self.presence_now.load(std::memory_order_relaxed);
        was_detached = was_detached || before == presence::detached;
        // The thread is not attached with this tstate, so the reaper has to delete it on another thread.
        if (self.is_temporary && cpython::python().reaps_foreign_tstates && !self.warm_tstate)
            set_warm_tstate(self, self.last_tstate);
        self.is_temporary = false;
        if (before != presence::outside && (&self != attached || can_detach))
            self.interp->gate.leave(self, presence::outside);
    }
    me.top = &me.base;
    me.base.inert = false;
    me.nested_open = me.no_drain_open = 0;
    me.innermost_section = nullptr;
    if (!can_detach)
        report_open_scope(label, "a critical section and an attached",
                          "The thread cannot be detached, as the section's storage is gone: other "
                          "threads may wait for Python for ever.");
    else if (attached)
        report_open_scope(label, "an attached", "The library detached the thread.");
    else if (was_detached)
        report_open_scope(label, "a detached", "The interpreter does not wait for it any more.");
    else
        report_open_scope(label, "a", "Other code attached the thread, and what that holds was left alone.");
}

bool is_anything_open(const thread &me) noexcept {
    return me.top != &me.base || me.nested_open != 0 || me.innermost_section;
}

} // namespace

bool on_thread_exit(thread &me) noexcept {
    const int kept_errno = errno;
    if (is_anything_open(me))
        end_open_scopes(me);
    // The hook asks for another round, because destructors of other libraries may still attach. It does its work before
    // the last round, in which sanitizers free their own data of the thread.
    const bool is_last = ++me.exit_rounds >= thread_exit_rounds - 1 || is_gilstate_lost(me);
    if (is_last) {
        // Other threads may be attached while they join the housekeeper.
        if (!is_anything_open(me) && !this_thread.housekeeper)
            warm_state::destroy_at_end(me);
        this_thread.ended = 1;
        this_thread.tag(&me);
        const bool has_called_hook = me.has_called_hook;
        forget(me);
        // From now on what the hook attaches is temporary, as in the destructors that run after this.
        if (has_called_hook)
            thread_hook::on_ended();
    }
    errno = kept_errno;
    return is_last;
}

void discard_late_record_slow(thread &me) noexcept {
    if (!is_anything_open(me) && !this_thread.drain_disabled)
        forget(me);
}

} // namespace pyattach
