// Own tstate: what routed code learns of its thread's tstate, makes, and deletes.
#include "gilstate/own_tstate.hpp"

#include "core/current.hpp"
#include "core/frames.hpp"
#include "cpython/find.hpp"
#include "cpython/guarded.hpp"
#include "gilstate/ensure.hpp"
#include "gilstate/misrouted.hpp"
#include "gilstate/refused.hpp"
#include "gilstate/ticket.hpp"
#include "platform/kept_errno.hpp"
#include "scopes/forked.hpp"
#include "scopes/prepare.hpp"
#include "scopes/tstate_choice.hpp"

namespace pyattach::gilstate {
namespace {

// The warm tstate of this thread in the main interpreter; NULL: it has none.
thread_state *warm_tstate_of(const thread *me) noexcept {
    const interpreter *main = main_interpreter();
    const participant *self = main && !main->is_cleared() ? find_participant(me, *main) : nullptr;
    return self ? self->warm_tstate : nullptr;
}

bool is_registered() noexcept {
    const interpreter *main = main_interpreter();
    return main && main->hook.load(std::memory_order_acquire) == interpreter::registered;
}

// The scope of the top entry attached with `tstate`, and nothing is open inside it.
bool is_scope_of(const thread &me, const entry &top, const thread_state *tstate) noexcept {
    return (top.kind == kind::acquired || top.kind == kind::attached) && top.tstate == tstate &&
           me.top == &top.attached.frame && !me.nested_in_top();
}

// Whether a scope outside the top frame has attached with `tstate`, and re-attaches with it.
bool is_used_further_out(const thread &me, const thread_state *tstate) noexcept {
    for (frame *scope = readable(me, me.top->below); scope; scope = readable(me, scope->below))
        if (scope->tag == tag::attached && scope->tstate == tstate && !is_inert(*scope))
            return true;
    return false;
}

// The tstate in the GILState slot; NULL: none, or one of an earlier Python.
thread_state *tstate_in_slot() noexcept {
    const thread *me = this_thread.record();
    thread_state *tstate = cpython::python().gilstate_tstate();
    return tstate && cpython::python().gilstate_outlives_python && me && !has_gilstate_tstate(*me) ? nullptr : tstate;
}

bool attach_once() noexcept {
    forked::take_python_as_it_is();
    attached_scope scope;
    if (attached::begin(scope))
        return false;
    attached::end(scope);
    return true;
}

} // namespace

thread_state *this_tstate() noexcept {
    if (__builtin_expect(cpython::is_found(), 1))
        if (thread_state *tstate = tstate_in_slot())
            return tstate;
    const kept_errno kept;
    const keep_record record_stays;
    if (cpython::find() || this_thread.ended)
        return nullptr;
    if (is_closed())
        return nullptr;
    if (thread_state *warm = warm_tstate_of(this_thread.record()))
        return warm;
    if (is_registered() && prepare_thread() == PYATTACH_OK)
        if (thread_state *warm = warm_tstate_of(this_thread.record()))
            return warm;
    if (!cpython::python().is_initialized() || !attach_once())
        return nullptr;
    thread_state *tstate = tstate_in_slot();
    return tstate ? tstate : warm_tstate_of(this_thread.record());
}

namespace {

thread_state *new_tstate_unkept(cpython::interp_state *interp, const void *caller) {
    if (status missing = cpython::find())
        no_python(caller, missing);
    thread *me = attached_tstate(this_thread.record()) ? nullptr : own_record();
    // The end waits while the tstate is made, a second at most.
    const bool had_ticket = me && me->routing && me->routing->has_ticket;
    if (me && !take_ticket(*me) && is_closed())
        refuse_thread(PYATTACH_FINALIZING, !top_of(me) && me->top == &me->base, caller);
    thread_state *made = cpython::guarded([interp] { return cpython::python().tstate_new(interp); });
    if (me && !had_ticket)
        end_ticket(*me);
    return made;
}

} // namespace

thread_state *new_tstate(cpython::interp_state *interp, const void *caller) {
    const kept_errno kept;
    return keeping_record([=] { return new_tstate_unkept(interp, caller); });
}

void delete_current(const void *caller) noexcept {
    const kept_errno kept;
    const keep_record record_stays;
    if (status missing = cpython::find())
        no_python(caller, missing);
    thread *me = this_thread.record();
    thread_state *tstate = attached_tstate(me);
    entry *top = top_of(me);
    const bool is_scope = tstate && top && is_scope_of(*me, *top, tstate);
    if (is_scope && is_used_further_out(*me, tstate))
        delete_in_use(caller);
    if (is_scope) {
        // Inside the gate: an end of Python that has not this thread to wait for frees the tstate itself.
        top->attached.frame.deletes_tstate = true;
        return end_attached(*me);
    }
    if (tstate && tstate == warm_tstate_of(me))
        delete_in_use(caller);
    if (tstate && top && top->kind == kind::foreign && top->tstate == tstate)
        pop(*me->routing);
    cpython::guarded([] { cpython::python().tstate_delete_current(); });
}

void register_soon() noexcept {
    const kept_errno kept;
    if (is_registered() || cpython::find() || !cpython::python().is_initialized())
        return;
    cpython::add_pending_call(
        [](void *) {
            attached::current();
            return 0;
        },
        nullptr);
}

} // namespace pyattach::gilstate
