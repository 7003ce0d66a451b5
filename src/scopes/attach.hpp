// How a thread comes into an interpreter and leaves it: announced in its gate, with a thread state.
#pragma once

#include "core/interpreter.hpp"
#include "core/thread.hpp"

namespace pyattach {

struct attach_result {
    thread_state *tstate;
    interpreter *interp;
    pyattach::participant *participant;
    // What restore_previous() goes back to: `replaced`, or what was in the gilstate_tstate; NULL: nothing.
    thread_state *replaced;
    interpreter *back;
    bool was_detached;
    presence presence_before;  // what the participant said before
    bool is_new;               // the state was made for this entry
    bool temporary;            // and is destroyed with it
    bool by_finalizing_thread; // the ending thread, past the closed gate
};

// An interpreter that was met: its gate decides, unless `checked` is false. `replaced`: the state of another
// interpreter that is current, NULL if the thread is not attached. On OK the thread is attached.
status attach_to(thread &me, interpreter &interp, thread_state *replaced, bool checked, attach_result &result) noexcept;
// The main interpreter, not met yet in this life. Waits while another thread starts it.
status attach_first(thread &me, thread_state *replaced, attach_result &result) noexcept;

// The end of a scope that attached, whatever has become of it.
void detach_from(frame &scope) noexcept;

} // namespace pyattach
