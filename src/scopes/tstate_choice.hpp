// Which tstate a thread attaches with.
#pragma once

#include "scopes/attach.hpp"
#include "tstate/reaper.hpp"

namespace pyattach {

// The state to attach with, and what of it stands in the result: `is_new`, `temporary`, and, where another state gives
// way to it, `replaced`, `back` and `was_detached`. NULL: no memory.
thread_state *choose_tstate(thread &me, participant &self, interpreter &interp, reap_batch &same_ident_batch,
                            attach_result &result) noexcept;

// It has neither a state of its own there nor the one that other code last attached it with. Compared and not looked
// into: what is in the gilstate_tstate may be of an ended life.
bool is_without_tstate(const participant &self) noexcept;

// The record of the interpreter that a state of this thread is of; NULL: it never met the library.
interpreter *interpreter_of(thread_state *tstate) noexcept;

} // namespace pyattach
