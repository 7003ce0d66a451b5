// Thread hook: tells a tool of the native threads that begin to use Python, and of their end; and gives these threads
// their names in Python.
//
// A tstate that the library makes while a hook is set, or names are wanted, makes the event due in the participant
// (`is_hook_due`). The first attach with it that may run any code, which is one on the slow path, delivers the event.
#pragma once

#include "core/interpreter.hpp"
#include "pyattach/thread_hook.h"

namespace pyattach::thread_hook {

// See thread_hook.h.
void set(pyattach_thread_hook hook, void *arg) noexcept;
void set_names(bool are_wanted) noexcept;

// Whether a tstate that the calling thread makes now causes an event.
bool is_due_for_new_tstate() noexcept;
// Attached, with a tstate that the library made. Delivers the event that is due. Runs Python code, and keeps the
// pending exception.
void on_attached(thread &me, participant &self) noexcept;
// The thread has caused an event, and its thread-exit hook has run.
void on_ended() noexcept;

// Around fork(), as internal_lock.hpp defines the three.
void hold() noexcept;
void release_hold() noexcept;
void restart() noexcept;

} // namespace pyattach::thread_hook
