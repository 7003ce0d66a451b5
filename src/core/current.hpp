// The current tstate: whether this thread is attached, which CPython alone knows.
#pragma once

#include "core/frames.hpp"
#include "core/thread.hpp"
#include "cpython/layout.hpp"

namespace pyattach {

// The current tstate if this thread is attached, else NULL. Inside tp_traverse it is not NULL, although the thread must
// not call Python, so callers read `forbidden` first.
thread_state *current_tstate() noexcept;
// Whether `tstate`, which is current, is this thread's, as CPython answers. Up to 3.11 the GILState slot decides. It
// names no tstate of a sub-interpreter to which a scope has attached: there the top frame decides (is_own_tstate).
inline bool is_own_current(const cpython::table &py, const thread_state *tstate) noexcept {
    return py.current_is_own || tstate == py.gilstate_tstate();
}
// Whether `tstate`, which is current, is this thread's, and whether this thread is attached, without a call of CPython.
// False: it may be so.
inline bool is_surely_own(const thread &me, const thread_state *tstate) noexcept {
    return cpython::python().current_is_own || is_of_top(me, tstate);
}
inline bool is_surely_attached(const thread &me) noexcept {
    const thread_state *tstate = cpython::peek(me.current_at);
    return tstate && is_surely_own(me, tstate);
}

// Each calls the message handler with the reason, and returns PYATTACH_FORBIDDEN or PYATTACH_NOT_INITIALIZED.
status refuse_forbidden() noexcept;
status refuse_not_running() noexcept;

// PYATTACH_OK, PYATTACH_FORBIDDEN, PYATTACH_NOT_ATTACHED, or PYATTACH_UNSUPPORTED in a stranded fork child. Not inline,
// because the functions that call it first are much longer than a call.
status require_attached() noexcept;

} // namespace pyattach
