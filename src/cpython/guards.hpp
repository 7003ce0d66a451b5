// Guards of PEP 788, which keep the main interpreter from ending while a thread registers it.
#pragma once

#include "cpython/table.hpp"

namespace pyattach::cpython {

// Keeps the main interpreter from ending until the guard is released. NULL: this Python has no guards, none can be had,
// or the interpreter is ending already; `refused` is set in the last case alone.
void *guard_main(bool *refused) noexcept;
void release_guard(void *guard) noexcept;
// Releases the guards of the calling thread, which is about to be parked. Attached or not.
void release_own_guards() noexcept;
// In a fork child: releases the guards of threads that are not in the child, or finalization would wait for them for
// ever. Attached.
void release_lost_guards() noexcept;

// Around a fork, as internal_lock.hpp defines the three.
void hold_guards() noexcept;
void release_hold_on_guards() noexcept;
void restart_guards() noexcept;

} // namespace pyattach::cpython
