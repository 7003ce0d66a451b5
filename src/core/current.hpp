// The current tstate: whether this thread is attached, which CPython alone knows.
#pragma once

#include "core/frames.hpp"
#include "core/thread.hpp"
#include "cpython/layout.hpp"

namespace pyattach {

// The current tstate if this thread is attached, else NULL. Inside tp_traverse it is not NULL, although the thread must
// not call Python, so callers read `forbidden` first.
thread_state *current_tstate() noexcept;
// Whether this thread is attached, without a call of CPython. False: it may be attached.
inline bool is_surely_attached(const thread &me) noexcept {
    const thread_state *tstate = cpython::peek(me.current_at);
    return tstate && (cpython::python().current_is_own || is_of_top(me, tstate));
}

// Each calls the message handler with the reason, and returns PYATTACH_FORBIDDEN or PYATTACH_NOT_INITIALIZED.
status refuse_forbidden() noexcept;
status refuse_not_running() noexcept;

// PYATTACH_OK, PYATTACH_FORBIDDEN, PYATTACH_NOT_ATTACHED, or PYATTACH_UNSUPPORTED in a stranded fork child. Not inline,
// because the functions that call it first are much longer than a call.
status require_attached() noexcept;

} // namespace pyattach
