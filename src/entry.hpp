// How a thread comes into an interpreter and leaves it: announced in its gate, with a thread state.
#pragma once

#include "interpreter.hpp"
#include "thread.hpp"

namespace pyattach::entry {

struct result {
    thread_state *state;
    interpreter *where;
    pyattach::seat *seat;
    uint8_t inside_below; // what the seat said before
    bool is_new;          // the state was made for this entry
    bool temporary;       // and is destroyed with it
    bool exempt;          // the ending thread, past the closed gate
};

// An interpreter that was met: its gate decides, unless `checked` is false. `replaced`: the state of another
// interpreter that is current, NULL if the thread is not attached. On OK the thread is attached.
status known(thread &me, interpreter &where, thread_state *replaced, bool checked, result &in) noexcept;
// The main interpreter, not met yet in this life. Waits while another thread starts it.
status first(thread &me, thread_state *replaced, result &in) noexcept;

// Detaches from `state`, destroys it if asked to, and goes back to `replaced`. The gate is left by the caller,
// afterwards.
void leave(thread_state *state, bool destroy, thread_state *replaced) noexcept;

// After a visit to another interpreter on a thread that is detached now: other code that asks for this thread's state
// finds the warm one of the main interpreter again, not the visit's, or none. May block.
void come_home(thread &me) noexcept;

} // namespace pyattach::entry
