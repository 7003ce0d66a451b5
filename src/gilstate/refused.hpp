// Refused: what becomes of a thread that routed code wants to attach, and that is refused because Python ends. The
// functions that are routed cannot report a refusal to their callers.
#pragma once

#include "core/thread.hpp"
#include "pyattach/gilstate.h"

namespace pyattach::gilstate {

// See gilstate.h.
void set_refused(pyattach_refused wanted) noexcept;
void set_refused_handler(pyattach_refused_handler handler, void *arg) noexcept;

// Calls the handler, and parks the thread, or ends it if the policy says so and `is_outermost` is true: nothing that is
// routed is open on the thread. The thread is not attached. Aborts if the reason is not that Python ends or has ended.
// May unwind the stack.
[[noreturn]] void refuse_thread(status why, bool is_outermost, const void *caller);

} // namespace pyattach::gilstate
