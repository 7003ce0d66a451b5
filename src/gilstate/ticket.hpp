// Ticket: what keeps the answer "Python is not finalizing" true until the thread that was told so has attached.
//
// Code that asks Py_IsFinalizing before each attach has lost a race if Python begins to end in between. So the answer
// "no", on a thread that is not attached, comes with a ticket: a hold that an end waits for, a second at most. The next
// attach of the thread uses it up.
#pragma once

#include "gilstate/entry.hpp"

namespace pyattach::gilstate {

// Ends the thread's ticket, if it has one.
void end_ticket_slow(routing &own) noexcept;
inline void end_ticket(thread &me) noexcept {
    if (me.routing && __builtin_expect(me.routing->has_ticket, 0))
        end_ticket_slow(*me.routing);
}
// Gives the thread a ticket, unless it has one. False: the end of the main interpreter has begun, or it has no record.
bool take_ticket(thread &me) noexcept;

// Whether the gate of the main interpreter has closed, or Python has ended and not been started again.
bool is_closed() noexcept;

// See gilstate.h.
int is_finalizing() noexcept;

} // namespace pyattach::gilstate
