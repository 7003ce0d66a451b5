// Hold: while there is one, an interpreter whose end has begun still lets threads in (gate.hpp: the state `held`).
//
// A hold is in storage of the caller's and belongs to no thread. The holds of all interpreters are one list, newest
// first, under the registry's lock. A hold counts as a reference to the interp_data.
//
//   begin:   under the lock { word is open? add the hold : refused }
//   end:     under the lock { remove the hold; change `ended_holds` }   wake
//   ending:  word = held;   under the lock { is there a hold? read `ended_holds` }   sleep on `ended_holds`
//
// The lock orders a begin before the ending thread's look, which then finds the hold, or after it, and then the begin
// reads that the word is not open. A hold that ends in between has changed `ended_holds`, so no wake-up is lost.
//
// A *ticket* is a hold that an end waits for a second only: a thread of routed code (gilstate/ticket.hpp) has it while
// it may be about to attach, or may have nothing more to do.
//
// A fork copies the list, but the holds are those of the parent, whose threads will end them there. So the child
// forgets them, and their end there finds that they are of another process.
#pragma once

#include "core/interpreter.hpp"

namespace pyattach {

struct hold {
    pyattach::tag tag; // hold, ticket, ended or refused
    uint32_t made_in;  // the fork_generation of the begin
    interpreter *interp;
    hold *next, *previous;
    char label[32]; // "": it has none
};
static_assert(sizeof(void *) != 8 || sizeof(hold) == 64, "what an opaque pyattach_hold has room for");

// See pyattach_hold_begin, for an interpreter that has a record.
status begin_hold_of(hold &begun, interpreter &interp, const char *label, pyattach::tag kind = tag::hold) noexcept;
// See pyattach_hold_end.
void end_hold(hold &ended) noexcept;

// On the finalizing thread, once the gate is not open. Waits until no hold of the interpreter is left, or until
// `deadline_ns` of the monotonic clock. Returns how many are. Tickets are holds here if `with_tickets` is set.
unsigned await_holds(const interpreter &interp, int64_t deadline_ns, bool with_tickets = true) noexcept;
// Writes the labels of the holds that are left, separated by commas, as far as there is room. Returns the length.
size_t list_holds(const interpreter &interp, char *text, size_t size) noexcept;

// In a fork child, under the registry's lock or without other threads. `is_lost`: a thread that is not in the child was
// changing the list, so the list is not read.
void forget_holds_locked(bool is_lost) noexcept;

} // namespace pyattach
