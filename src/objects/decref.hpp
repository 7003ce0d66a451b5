// Drop: a reference is given back, on any thread at any time; and the drains that release what was queued.
#pragma once

#include <cstddef>

#include "cpython/cpython.hpp"

namespace pyattach {

struct interpreter;
struct participant;

// Gives a reference back; `owner` NULL: of the interpreter this thread stands for (see pool.h).
void decref(object *, interpreter *owner) noexcept;
pyattach_status take_reference(object *) noexcept;

// Attached to `where`, through us: releases up to `most` references, the pending exception kept, nothing locked.
// Destructors may give more back. Returns how many it released.
size_t drain(interpreter &interp, size_t most) noexcept;
// Releases all that waits in the pool of the current interpreter.
pyattach_status drain_current() noexcept;
size_t waiting() noexcept;

// The thread ends whose participant this is: what it gave back there waits without it, and Python is asked for a drain
// if there is much of that.
void orphan(participant &ending) noexcept;
// Python asked this thread for a drain while it was quiet: has it ask again, unless the thread is quiet still.
void reschedule_drain() noexcept;

// How many references an attach releases at most. Where it was 0, Python is asked for what waits meanwhile.
void set_drain_budget(size_t objects) noexcept;
size_t drain_budget() noexcept;

} // namespace pyattach
