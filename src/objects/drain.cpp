// Drain: releases what waits in a pool.
#include "objects/drain.hpp"

#include <algorithm>
#include <utility>

#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "cpython/exception.hpp"
#include "cpython/guarded.hpp"
#include "cpython/layout.hpp"
#include "platform/kept_errno.hpp"

namespace pyattach {
namespace {

std::atomic<size_t> budget_objects{256};

#if PYATTACH_REFERENCE_POOL

int run_scheduled_drain(void *record) noexcept;

// No thread attaches, so Python is asked to release what waits. It may be asked on any thread, attached or not, as long
// as the interpreter is there (the gate) and no traverse runs (it takes a lock of CPython's, which in the child of a
// raw fork may be held by a thread that is not there). Only the main interpreter listens.
void schedule(interpreter &interp, participant &self) noexcept {
    if (&interp != main_interpreter() || this_thread.forbidden || is_raw_fork() ||
        interp.pool.is_drain_scheduled().load(std::memory_order_relaxed))
        return;
    uint8_t before = self.inside.load(std::memory_order_relaxed);
    if (!interp.gate.enter(self))
        return;
    if (!interp.pool.is_drain_scheduled().exchange(true, std::memory_order_relaxed) &&
        !cpython::add_pending_call(run_scheduled_drain, &interp))
        interp.pool.is_drain_scheduled().store(false, std::memory_order_relaxed);
    interp.gate.leave(self, before);
}

// In Python's main thread, attached. It asks for itself again only after it has drained, or it would come back at once,
// and CPython's end waits from 3.13 on until no call is left. So it says that it is owed, to the thread where that is
// quiet, to the pool where the budget is 0; both are paid when that is over, and a crowded push asks anew in any case.
int run_scheduled_drain(void *record) noexcept {
    auto &where = *static_cast<interpreter *>(record);
    if (where.is_cleared.load(std::memory_order_acquire))
        return 0;
    // Store one, then look at the other, as set_drain_budget does and who pushes and finds the pool crowded: whichever
    // store comes second is followed by a look that sees the first.
    where.pool.is_drain_scheduled().store(false, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const size_t budget = drain_budget();
    if (budget == 0 || !own_record())
        return 0;
    if (is_drain_disabled()) {
        this_thread.owe_drain(true);
        return 0;
    }
    drain(where, budget);
    if (!where.pool.is_empty() && !where.pool.is_drain_scheduled().exchange(true, std::memory_order_relaxed) &&
        !cpython::add_pending_call(run_scheduled_drain, record))
        where.pool.is_drain_scheduled().store(false, std::memory_order_relaxed);
    return 0;
}

// On any thread, attached or not.
void schedule_drain_if_needed() noexcept {
    interpreter *main = main_interpreter();
    if (!main || main->pool.is_empty())
        return;
    thread *me = own_record();
    if (participant *self = me ? find_participant(*me, *main) : nullptr)
        schedule(*main, *self);
    if (me)
        discard_late_record(*me);
}

#endif

} // namespace

void schedule_drain([[maybe_unused]] interpreter &interp, [[maybe_unused]] participant &self) noexcept {
#if PYATTACH_REFERENCE_POOL
    schedule(interp, self);
#endif
}

size_t drain(interpreter &interp, size_t most) noexcept {
    const kept_errno keeps;
    object *batch[pool::largest_batch];
    size_t released = 0;
    // The thread that ends Python may be one that never met this library.
    thread *me = own_record();
    if (!me)
        return 0;
    no_drain_scope no_drain;
    const decref_queue *own = nullptr;
    for (const participant *member = me->participants; member && !own; member = member->next_of_thread)
        own = member->interp == &interp ? member->queue : nullptr;
    while (released < most && !interp.pool.is_empty()) {
        size_t taken = interp.pool.take(batch, std::min(most - released, pool::largest_batch), own);
        if (taken == 0)
            break; // in the hands of another drain
        // A destructor may drain again by hand; its batch comes on top.
        const uint32_t left_before = me->batch_left;
        cpython::kept_error kept;
        cpython::guarded([&] {
            const cpython::table &py = cpython::python();
            const cpython::counting how = cpython::trusted.counting.load(std::memory_order_relaxed);
            for (size_t i = 0; i < taken; ++i) {
                if (cpython::decref_fast(how, batch[i]))
                    continue;
                me->batch_left = left_before + static_cast<uint32_t>(taken - i - 1);
                py.decref(batch[i]);
            }
        });
        me->batch_left = left_before;
        released += taken;
    }
    count(event::drops_released, released);
    return released;
}

void drain_if_allowed_slow(interpreter &interp) noexcept {
    if (!is_drain_disabled())
        drain(interp, drain_budget());
}

status drain_current() noexcept {
    if (status refused = require_attached())
        return refused;
    if (!own_record())
        return PYATTACH_NO_MEMORY;
    interpreter *interp = find_interpreter(cpython::python().interp_of(current_tstate()));
    if (interp)
        // What destructors give back meanwhile is not promised, so this ends.
        drain(*interp, interp->pool.size());
    discard_late_record(*this_thread.record());
    return PYATTACH_OK;
}

size_t waiting() noexcept {
    thread_state *tstate = current_tstate();
    cpython::interp_state *state = tstate ? cpython::python().interp_of(tstate) : nullptr;
    lock_registry();
    interpreter *interp = state ? find_interpreter_locked(state) : main_interpreter();
    size_t all = interp && !interp->is_cleared.load(std::memory_order_relaxed) ? interp->pool.size() : 0;
    unlock_registry();
    return all;
}

void orphan([[maybe_unused]] participant &ending) noexcept {
#if PYATTACH_REFERENCE_POOL
    interpreter &interp = *ending.interp;
    decref_queue *queue = std::exchange(ending.queue, nullptr);
    if (queue && interp.pool.orphan(*queue))
        schedule_drain(interp, ending);
#endif
}

void reschedule_drain() noexcept {
#if PYATTACH_REFERENCE_POOL
    if (is_drain_disabled() || this_thread.forbidden)
        return;
    this_thread.owe_drain(false);
    schedule_drain_if_needed();
#endif
}

void pay_dues() noexcept {
    if (this_thread.owes_drain)
        reschedule_drain();
    if (thread *me = this_thread.ended ? this_thread.record() : nullptr)
        discard_late_record_slow(*me);
}

void set_drain_budget(size_t objects) noexcept {
    [[maybe_unused]] const size_t before = budget_objects.exchange(objects, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
#if PYATTACH_REFERENCE_POOL
    if (before == 0 && objects != 0)
        schedule_drain_if_needed();
#endif
}
size_t drain_budget() noexcept { return budget_objects.load(std::memory_order_relaxed); }

} // namespace pyattach
