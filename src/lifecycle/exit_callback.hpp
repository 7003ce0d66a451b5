// Exit callbacks: how native code is told in time that an interpreter ends.
#pragma once

#include "pyattach/interpreter.h"

namespace pyattach {

struct interpreter;
struct interp_data;

// `options` NULL: all are zero.
pyattach_status add_exit_callback(interpreter *, pyattach_exit_callback, void *arg,
                                  const pyattach_exit_callback_options *options) noexcept;
// Waits, detached, for a call that is under way on another thread.
pyattach_status remove_exit_callback(interpreter *, pyattach_exit_callback, void *arg) noexcept;

// By the ending thread, detached, once the gate has closed: each once, in the order of registration.
void run_exit_callbacks(interpreter &interp) noexcept;

// In a fork child: the threads that were calling some are not there. `is_lost`: the list was being changed, and is not
// read.
void forget_running_exit_callbacks_locked(bool is_lost) noexcept;
// Likewise: those that were not asked for in children, as the threads that they would wake and join are not there.
void forget_exit_callbacks_of_parent_locked(interp_data &) noexcept;

} // namespace pyattach
