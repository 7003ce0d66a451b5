// Attach: a thread enters the gate of an interpreter and attaches with a tstate, or detaches and leaves the gate.
#pragma once

#include "core/interpreter.hpp"
#include "core/thread.hpp"

namespace pyattach {

struct attach_result {
    thread_state *tstate;
    interpreter *interp;
    pyattach::participant *participant;
    thread_state *replaced;    // the tstate that restore_previous() restores; NULL: none
    interpreter *back;         // the interpreter of `replaced`; NULL: the library has no record of it
    bool was_detached;         // `replaced` was not attached, but in the GILState slot
    presence presence_before;  // the participant's presence before the attach
    bool is_new;               // the tstate was made for this attach
    bool temporary;            // the tstate was made for this scope, and is destroyed with it
    bool by_finalizing_thread; // the finalizing thread attached after the gate closed
};

// Attaches to an interpreter of which the library has a record. A gate that is not open refuses the thread, unless
// `checked` is false, or it is the finalizing thread. `replaced`: the current tstate, which is of another interpreter;
// NULL: the thread is not attached. On OK the thread is attached. May block.
//   PYATTACH_FINALIZING: the gate refused the thread, or the interpreter is cleared.
//   PYATTACH_NO_MEMORY, and PYATTACH_UNSUPPORTED in a fork child in which Python is not in order.
status attach_to(thread &me, interpreter &interp, thread_state *replaced, bool checked, attach_result &result) noexcept;
// Attaches to the main interpreter, whose exit hook is not registered yet, and registers it. Waits while another thread
// starts Python. May run Python code. Besides the statuses of attach_to, PYATTACH_NOT_INITIALIZED: no Python runs.
status attach_first(thread &me, thread_state *replaced, attach_result &result) noexcept;

// Ends a scope that attached: detaches, leaves the gate, and restores what `replaced` names. An inert scope at
// most restores. Ending it while a scope inside it is open is a misuse.
void detach_from(frame &scope) noexcept;

} // namespace pyattach
