// Registration: when a thread first attaches to an interpreter, the library makes a record of it, and registers the
// hooks that CPython calls when the interpreter ends and when the process forks.
#pragma once

#include "core/interpreter.hpp"

namespace pyattach {

// The record of the interpreter that the calling thread is attached to; registers the interpreter if it is not
// registered yet. `me` is the record of the calling thread. May run Python code. NULL: the interpreter is past its end
// and has no record, or there is no memory. The gate of the record may have ended already, because a registration
// during the exit is too late.
interpreter *lookup_or_register_slow(thread &me, cpython::interp_state *state) noexcept;

inline bool is_last_interp(const thread &me, const cpython::interp_state *state) noexcept {
    const interpreter *last = me.last_interp;
    return last && state == last->state && __builtin_expect(!last->gate.is_ended(), 1);
}
inline interpreter *lookup_or_register(thread &me, thread_state *tstate) noexcept {
    if (const frame *top = is_of_top(me, tstate) ? readable_top(me) : nullptr)
        if (!top->inert && __builtin_expect(!top->interp->gate.is_ended(), 1))
            return top->interp;
    cpython::interp_state *state = cpython::python().interp_of(tstate);
    return is_last_interp(me, state) ? me.last_interp : lookup_or_register_slow(me, state);
}

// Stores the interpreter in which the thread's next lookup is most likely to end, if its hooks are registered (see
// lookup_or_register_slow).
inline void remember_interp(thread &me, interpreter *interp) noexcept {
    const bool is_registered = interp && interp->hook.load(std::memory_order_acquire) == interpreter::registered;
    me.last_interp = is_registered ? interp : nullptr;
}

// The interpreter's record, which is made if there is none; its hooks are not registered. Also for code that runs while
// Python starts. NULL: no memory.
interpreter *find_or_make_interpreter(cpython::interp_state *state) noexcept;
// The record of the main interpreter, whose address `state` the caller has read after it read that Python is
// initialized. NULL and `has_ended`: that Python has ended since. NULL otherwise: no memory.
interpreter *find_or_make_main(cpython::interp_state *state, bool &has_ended) noexcept;

} // namespace pyattach
