// Drain: releases what waits in a pool; and how CPython is asked to do so where no thread attaches.
#pragma once

#include <cstddef>

#include "core/interpreter.hpp"

namespace pyattach {

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

// On the way in: only if nothing of this thread stands against running foreign destructors now.
void drain_if_allowed_slow(interpreter &interp) noexcept;
inline void drain_if_allowed(interpreter &interp) noexcept {
    if (__builtin_expect(!interp.pool.is_empty(), 0))
        drain_if_allowed_slow(interp);
}

// Has CPython call a drain of this pool soon, unless that was asked for already. On any thread, attached or not, with
// its participant there.
void schedule_drain(interpreter &interp, participant &self) noexcept;

} // namespace pyattach
