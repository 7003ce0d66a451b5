// The current tstate: whether this thread is attached, which CPython alone knows.
#pragma once

#include "core/frames.hpp"
#include "core/thread.hpp"
#include "cpython/layout.hpp"

namespace pyattach {

// CPython's current thread state if this thread is attached, else NULL. Also inside tp_traverse: ask `forbidden` first.
thread_state *current_tstate() noexcept;
// Told without a call; false: perhaps not.
inline bool is_surely_attached(const thread &me) noexcept {
    const thread_state *tstate = cpython::peek(me.current_at);
    return tstate && (cpython::python().current_is_own || is_of_top(me, tstate));
}

// FORBIDDEN, and NOT_INITIALIZED, with the sentence that goes with each.
status refuse_forbidden() noexcept;
status refuse_not_running() noexcept;

// OK, FORBIDDEN, NOT_ATTACHED, or UNSUPPORTED in a stranded fork child. Out of line: it stands at the head of many
// calls that take longer.
status require_attached() noexcept;

} // namespace pyattach
