// Gap: what PyEval_SaveThread and PyEval_RestoreThread are routed to, and the functions that do the same.
#include "gilstate/gap.hpp"

#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "core/section.hpp"
#include "cpython/find.hpp"
#include "cpython/guarded.hpp"
#include "gilstate/ensure.hpp"
#include "gilstate/misrouted.hpp"
#include "gilstate/refused.hpp"
#include "gilstate/ticket.hpp"
#include "platform/kept_errno.hpp"
#include "scopes/forked.hpp"
#include "scopes/tstate_choice.hpp"

namespace pyattach::gilstate {
namespace {

// Whether the save is the end of this entry, which a restore made, and not a gap in it. With an exception pending that
// was raised inside it is a gap, because the end of the scope would report the exception, and a save keeps it.
bool is_end_of_acquired(const thread &me, const entry &top, const thread_state *tstate) noexcept {
    const auto *section = static_cast<const section_scope *>(me.innermost_section);
    return top.kind == kind::acquired && top.tstate == tstate && is_innermost(me, top) && !me.nested_in_top() &&
           !(section && section->top_at_begin == me.top) && !is_inert(top.attached.frame) &&
           (top.attached.frame.had_error || !cpython::python().error_occurred());
}

// Whether the next attach of this thread would be with this tstate, which is not attached.
bool is_next_tstate(const thread &me, thread_state *tstate) noexcept {
    const cpython::table &py = cpython::python();
    const interpreter *main = main_interpreter();
    const participant *self = main ? find_participant(&me, *main) : nullptr;
    if (self && self->warm_tstate)
        return self->warm_tstate == tstate;
    return tstate == py.gilstate_tstate() && has_gilstate_tstate(me) && py.interp_of(tstate) == py.main_interpreter();
}

// Whether this gap's interpreter has ended, and the tstate is one of the next interpreter that has the same address.
bool is_of_earlier_python(const thread &me, const entry &gap, thread_state *tstate) noexcept {
    const interpreter *interp = gap.detached.frame.interp;
    return interp && interp->is_cleared() && cpython::python().is_initialized() &&
           cpython::python().gilstate_tstate() == tstate && has_gilstate_tstate(me);
}

// False: the thread would be attached with another tstate.
bool acquire(thread &me, thread_state *tstate, const void *caller, bool may_end) {
    entry *made = push(me, caller);
    if (!made)
        return false;
    forked::take_python_as_it_is();
    const status why = attached::begin(made->attached);
    end_ticket(me);
    if (why) {
        pop(*me.routing);
        refuse_thread(why, may_end && !me.routing->top && me.top == &me.base, caller);
    }
    if (current_tstate() != tstate) {
        end_attached(me);
        return false;
    }
    // The release that follows may be that of an ensure from before its module was routed, whose count stays.
    if (tstate == cpython::python().gilstate_tstate())
        cpython::trust_counter();
    made->tstate = tstate;
    made->kind = kind::acquired;
    return true;
}

// Attaches with a tstate of other code's.
void restore_foreign(thread &me, thread_state *tstate, const void *caller) {
    interpreter *main = main_interpreter();
    if (main && !main->is_cleared())
        if (const pid_t owner = main->gate.owner_of(tstate))
            restore_of_other(caller, owner);
    // The end waits a second for a thread that is about to attach here, because it may free the tstate.
    if (!take_ticket(me) && is_closed() && !(main && main->is_finalizing_thread()))
        refuse_thread(PYATTACH_FINALIZING, false, caller);
    cpython::restore(tstate);
    end_ticket(me);
    if (entry *made = push(me, caller)) {
        made->tstate = tstate;
        made->kind = kind::foreign;
    }
}

// The restore of the tstate of the top entry.
void restore_top(thread &me, entry &top, const void *caller) {
    const kind was = top.kind;
    if (was != kind::detached) {
        // Code that is not routed has detached inside; or the gap is not a scope of this library's.
        cpython::restore(top.tstate);
        if (was == kind::gap)
            pop(*me.routing);
        return;
    }
    top.kind = kind::changing;
    const status why = detached::end(top.detached);
    pop(*me.routing);
    if (why)
        refuse_restore(why, caller);
}

} // namespace

void refuse_restore(status why, const void *caller) { refuse_thread(why, false, caller); }

thread_state *save_slow(const void *caller) noexcept {
    const kept_errno kept;
    this_thread.retag();
    const keep_record record_stays;
    if (status missing = cpython::find())
        no_python(caller, missing);
    thread *me = own_record();
    thread_state *tstate = attached_tstate(me);
    // Up to 3.11 this may be a tstate that code switched to, which only CPython knows.
    if (!tstate && !cpython::python().current_is_own && !is_stranded())
        tstate = cpython::python().current();
    if (!tstate)
        save_unattached(caller);
    entry *top = top_of(me);
    if (top && is_end_of_acquired(*me, *top, tstate)) {
        end_attached(*me);
        return tstate;
    }
    if (top && top->kind == kind::foreign && top->tstate == tstate) {
        pop(*me->routing);
        return cpython::save();
    }
    entry *made = me ? push(*me, caller) : nullptr;
    if (!made)
        return cpython::save();
    made->tstate = tstate;
    const bool is_scope = detached::begin(made->detached) == PYATTACH_OK;
    if (!is_scope)
        cpython::save();
    made->kind = is_scope ? kind::detached : kind::gap;
    return tstate;
}

namespace {

void restore_unkept(thread_state *tstate, const void *caller, bool may_end) {
    if (!tstate)
        restore_null(caller);
    if (status missing = cpython::find())
        no_python(caller, missing);
    thread *me = own_record();
    if (attached_tstate(me))
        restore_attached(caller);
    if (!me)
        return cpython::restore(tstate);
    entry *top = top_of(me);
    if (top && top->tstate == tstate && top->kind != kind::changing && is_innermost(*me, *top) &&
        !(top->kind == kind::detached && is_of_earlier_python(*me, *top, tstate)))
        return restore_top(*me, *top, caller);
    if (!is_next_tstate(*me, tstate) || !acquire(*me, tstate, caller, may_end))
        restore_foreign(*me, tstate, caller);
}

} // namespace

void restore_slow(thread_state *tstate, const void *caller, bool may_end) {
    const kept_errno kept;
    keeping_record([=] { restore_unkept(tstate, caller, may_end); });
}

void release_thread(thread_state *tstate, const void *caller) noexcept {
    if (!tstate || !cpython::is_found() || attached_tstate(this_thread.record()) != tstate)
        save_unattached(caller);
    save(caller);
}

bool is_open(const void *tstate) noexcept {
    const kept_errno kept;
    const thread *me = this_thread.record();
    const entry *top = top_of(me);
    if (!top)
        return false;
    if (tstate)
        return top->tstate == tstate && (top->kind == kind::detached || top->kind == kind::gap);
    return (top->kind == kind::acquired || top->kind == kind::foreign) && top->tstate == attached_tstate(me);
}

} // namespace pyattach::gilstate
