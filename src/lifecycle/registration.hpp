// Registration: an interpreter that the library meets for the first time gets a record, and tells from then on when it
// ends and when its process forks.
#pragma once

#include "core/interpreter.hpp"

namespace pyattach {

// First contact, and every later one. Needs the attached thread `me`, whose current state is `now`; may run Python
// code. NULL: the interpreter is past its end, or there is no memory. The record may be DEAD already: first contact
// during exit is too late.
interpreter *lookup_or_register_slow(thread &me, cpython::interp_state *here) noexcept;

inline bool is_last_interp(const thread &me, const cpython::interp_state *here) noexcept {
    const interpreter *met = me.last_interp;
    return met && here == met->state && __builtin_expect(!met->gate.is_ended(), 1);
}
inline interpreter *lookup_or_register(thread &me, thread_state *tstate) noexcept {
    if (const frame *top = is_of_top(me, tstate) ? readable_top(me) : nullptr)
        if (!top->inert && __builtin_expect(!top->interp->gate.is_ended(), 1))
            return top->interp;
    cpython::interp_state *here = cpython::python().interp_of(tstate);
    return is_last_interp(me, here) ? me.last_interp : lookup_or_register_slow(me, here);
}

// Where the thread is most likely to be asked about next; only with the hook there (see lookup_or_register_slow).
inline void remember_interp(thread &me, interpreter *interp) noexcept {
    const bool is_registered = interp && interp->hook.load(std::memory_order_acquire) == interpreter::registered;
    me.last_interp = is_registered ? interp : nullptr;
}

// The record for code that runs while Python starts: nothing is registered.
interpreter *find_or_make_interpreter(cpython::interp_state *state) noexcept;
// The record of the main interpreter, for a thread that saw Python run and then read `state`. NULL and `has_ended`:
// that Python has ended since.
interpreter *find_or_make_main(cpython::interp_state *state, bool &has_ended) noexcept;

} // namespace pyattach
