// Ticket: what keeps the answer "Python is not finalizing" true until the thread that was told so has attached.
#include "gilstate/ticket.hpp"

#include "core/after_fork.hpp"
#include "cpython/find.hpp"
#include "platform/kept_errno.hpp"
#include "scopes/holding.hpp"

namespace pyattach::gilstate {

void end_ticket_slow(routing &own) noexcept {
    own.has_ticket = false;
    end_hold(own.ticket);
}

bool take_ticket(thread &me) noexcept {
    interpreter *main = main_interpreter();
    routing *own = main ? own_routing(me) : nullptr;
    if (!own)
        return false;
    if (own->has_ticket && own->ticket.interp == main &&
        own->ticket.made_in == fork_generation.load(std::memory_order_relaxed))
        return main->gate.now() == gate::open;
    end_ticket(me);
    // Without an exit hook the end would not wait.
    own->has_ticket = main->hook.load(std::memory_order_acquire) == interpreter::registered &&
                      begin_hold_of(own->ticket, *main, nullptr, tag::ticket) == PYATTACH_OK;
    return own->has_ticket;
}

bool is_closed() noexcept {
    const interpreter *main = main_interpreter();
    return main ? main->gate.now() >= gate::closed : is_ending(nullptr);
}

int is_finalizing() noexcept {
    const kept_errno kept;
    const keep_record record_stays;
    if (cpython::find())
        return 0;
    const int answer = cpython::python().is_finalizing();
    if (attached_tstate(this_thread.record()))
        return answer;
    thread *me = this_thread.ended ? nullptr : own_record();
    if (answer || is_ending(nullptr)) {
        if (me)
            end_ticket(*me);
        return 1;
    }
    // In a gap the thread is inside the gate already. A ticket that is refused means that the end has begun meanwhile,
    // or that nothing is registered yet.
    const entry *top = top_of(me);
    if (!me || (top && top->kind == kind::detached) || take_ticket(*me))
        return 0;
    return is_ending(nullptr);
}

} // namespace pyattach::gilstate
