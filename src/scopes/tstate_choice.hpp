// Which tstate a thread attaches with.
#pragma once

#include "scopes/attach.hpp"
#include "tstate/reaper.hpp"

namespace pyattach {

// Returns the tstate to attach with. Sets `is_new` and `temporary` of the result and, where the tstate takes the place
// of another interpreter's in the GILState slot, `replaced`, `back` and `was_detached`. NULL: no memory, or the
// interpreter has ended meanwhile. The thread is inside the gate, and attached to no interpreter or, with
// `result.replaced`, to another one.
thread_state *choose_tstate(thread &me, participant &self, interpreter &interp, reap_batch &same_ident_batch,
                            attach_result &result) noexcept;

// Makes a tstate of the participant's interpreter, on the thread that will use it, because CPython binds a tstate to
// the thread that makes it. It becomes the warm one if the policy, the Python and the interpreter allow that, and else
// a temporary one. NULL: no memory, or the interpreter has ended meanwhile. The thread is inside the gate.
thread_state *make_own_tstate(thread &me, participant &self) noexcept;
// Whether the GILState slot holds a tstate that an attach of this thread uses. Inside the gate.
bool has_gilstate_tstate(const thread &me) noexcept;

// Whether the participant has no warm tstate, and the GILState slot does not hold the tstate that the thread was
// attached with last. Only addresses are compared, because the tstate in the GILState slot may be of an ended
// interpreter.
bool is_without_tstate(const participant &self) noexcept;

// The record of the interpreter of this tstate, which is the calling thread's. NULL: the library has no record of it.
interpreter *interpreter_of(thread_state *tstate) noexcept;

} // namespace pyattach
