// Drain: releases the references that wait in a pool. Where no thread attaches, CPython is asked to call a drain
// (Py_AddPendingCall).
#pragma once

#include <cstddef>

#include "core/interpreter.hpp"

namespace pyattach {

// On a thread that is attached to `interp`. Releases up to `most` references and returns how many it released. No
// internal lock is held, and the pending exception is kept. The destructors may give back more references.
size_t drain(interpreter &interp, size_t most) noexcept;
// See pyattach_pool_drain and pyattach_pool_size.
pyattach_status drain_current() noexcept;
size_t pool_size_of_current() noexcept;

// The participant's thread ends. Its references stay in the pool, and a drain is scheduled if the pool is over its
// high-water mark.
void orphan_queue(participant &ending) noexcept;
// CPython called a drain on this thread while drains were disabled there. Schedules that drain again, unless they still
// are.
void reschedule_drain() noexcept;

// See pyattach_set_drain_budget. If the budget was 0, schedules a drain for the references that wait.
void set_drain_budget(size_t objects) noexcept;
size_t drain_budget() noexcept;

// After an attach. Releases nothing while drains are disabled on this thread, that is, while destructors must not run.
void drain_if_allowed_slow(interpreter &interp) noexcept;
inline void drain_if_allowed(interpreter &interp) noexcept {
    if (__builtin_expect(!interp.pool.is_empty(), 0))
        drain_if_allowed_slow(interp);
}

// Asks CPython to call a drain of this pool soon, unless it has been asked already. On any thread, attached or not.
// `self`: the calling thread's participant in `interp`. Only for the main interpreter. Does nothing inside a forbidden
// scope, or in a fork child where Python is not in order.
void schedule_drain(interpreter &interp, participant &self) noexcept;

} // namespace pyattach
