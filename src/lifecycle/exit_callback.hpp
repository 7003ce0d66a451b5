// Exit callbacks: functions of native code that are called when an interpreter begins to end.
#pragma once

#include "pyattach/interpreter.h"

namespace pyattach {

struct interpreter;
struct interp_data;

// See pyattach_exit_callback_add_with. `options` NULL: all options are zero.
pyattach_status add_exit_callback(interpreter *interp, pyattach_exit_callback call, void *arg,
                                  const pyattach_exit_callback_options *options) noexcept;
// See pyattach_exit_callback_remove. If another thread is calling the callback, waits detached until it has returned.
pyattach_status remove_exit_callback(interpreter *interp, pyattach_exit_callback call, void *arg) noexcept;

// On the finalizing thread, detached, after the end has begun: calls each callback once, the one that was added last
// first.
void run_exit_callbacks(interpreter &interp) noexcept;

// In a fork child: forgets the calls of threads that are not in the child. `is_lost`: such a thread was changing the
// list, so the list is not read.
void forget_running_exit_callbacks_locked(bool is_lost) noexcept;
// In a fork child: removes the callbacks that were not registered for children, because the threads that they would
// wake and join are not in the child.
void forget_exit_callbacks_of_parent_locked(interp_data &data) noexcept;

} // namespace pyattach
