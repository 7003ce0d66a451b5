// Attached: this thread may call Python.
#pragma once

#include "interpreter.hpp"
#include "thread.hpp"

namespace pyattach {

// An attached scope that found its thread attached.
struct nested_scope {
    pyattach::tag tag;
    thread *owner;
    frame *in; // the frame on top when it began
};

union attached_scope {
    attached_scope() noexcept {}
    pyattach::tag tag;
    nested_scope nested;
    frame outer;
};

namespace attached {

status begin(attached_scope &) noexcept;
status begin_in(attached_scope &, interpreter &) noexcept;
status begin_unchecked(attached_scope &) noexcept;
status assume(attached_scope &) noexcept;
void end(attached_scope &) noexcept;

bool is_attached() noexcept;
int depth() noexcept;

// The handles users get. First contact, so the main interpreter is attached to for a moment if it was not met yet.
interpreter *main() noexcept;
interpreter *current() noexcept;

} // namespace attached

// Whether the interpreter of this frame ended below it.
inline bool is_inert(const frame &one) noexcept {
    // The ending thread's own scopes have nothing to go back to, unless it opened them while it ended the interpreter.
    return one.dead || (one.where && __builtin_expect(one.where->gate.is_dead(), 0) && !one.exempt &&
                        (one.where->gone.load(std::memory_order_acquire) || one.where->is_exempt()));
}

} // namespace pyattach
