// Drain: takes references out of a pool in batches and releases them.
#include "objects/drain.hpp"

#include <algorithm>
#include <utility>

#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "core/housekeeping.hpp"
#include "core/trace.hpp"
#include "cpython/exception.hpp"
#include "cpython/guarded.hpp"
#include "cpython/layout.hpp"
#include "platform/kept_errno.hpp"

namespace pyattach {
namespace {

std::atomic<size_t> budget_objects{256};

#if PYATTACH_REFERENCE_POOL

int run_scheduled_drain(void *record) noexcept;

// The flag of the pool keeps a second call from being added.
void add_scheduled_drain(interpreter &interp) noexcept {
    std::atomic<bool> &is_scheduled = interp.pool.is_drain_scheduled();
    if (!is_scheduled.exchange(true, std::memory_order_relaxed) &&
        !cpython::add_pending_call(run_scheduled_drain, &interp))
        is_scheduled.store(false, std::memory_order_relaxed);
}

// Py_AddPendingCall may be called on any thread, attached or not, while the interpreter exists, which the gate ensures.
// It takes a lock of CPython's. So it is not called inside tp_traverse, nor in the child of a raw fork, where a thread
// that is not in the child may hold that lock. From 3.12 on CPython runs pending calls in the main interpreter only.
void schedule(interpreter &interp, participant &self) noexcept {
    if (&interp != main_interpreter() || this_thread.forbidden || is_python_out_of_order() ||
        interp.pool.is_drain_scheduled().load(std::memory_order_relaxed))
        return;
    presence before = self.presence_now.load(std::memory_order_relaxed);
    if (!interp.gate.enter(self, before))
        return;
    add_scheduled_drain(interp);
    interp.gate.leave(self, before);
}

// In Python's main thread, attached. It schedules itself again only after it has drained. Otherwise CPython would call
// it again at once, and from 3.13 on CPython's finalization waits until no pending call is left. A call that must not
// drain is repeated later: if drains are disabled on this thread, when they are enabled again (set_drain_deferred);
// if the budget is 0, when it is set (set_drain_budget). A push that finds the pool over its high-water mark schedules
// another drain in any case.
int run_scheduled_drain(void *record) noexcept {
    auto &interp = *static_cast<interpreter *>(record);
    if (interp.is_cleared())
        return 0;
    // This function stores the flag and then loads the budget. set_drain_budget stores the budget and then loads the
    // flag. With a fence between the two steps on each side, at least one side loads what the other stored (Dekker).
    // Likewise, a push that finds the pool over its mark stores its reference and then loads the flag, and this
    // function loads the pool afterwards.
    interp.pool.is_drain_scheduled().store(false, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const size_t budget = drain_budget();
    if (budget == 0 || !own_record())
        return 0;
    // Up to 3.11 CPython queues the call in the interpreter of the thread that held the GIL, and runs it there. That
    // may be a sub-interpreter, even one that CPython is just making, with a tstate that the library does not recognise
    // as this thread's. A destructor that attaches would wait for the GIL that this thread holds.
    thread_state *const tstate = current_tstate();
    if (!tstate || cpython::python().interp_of(tstate) != interp.state)
        return 0;
    if (is_drain_disabled()) {
        this_thread.set_drain_deferred(true);
        return 0;
    }
    drain(interp, budget);
    if (!interp.pool.is_empty())
        add_scheduled_drain(interp);
    return 0;
}

// On any thread, attached or not.
void schedule_drain_if_needed() noexcept {
    interpreter *main = main_interpreter();
    if (!main || main->pool.is_empty())
        return;
    thread *me = own_record();
    if (participant *self = me ? find_or_make_participant(*me, *main) : nullptr)
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

namespace {
void note_pool(interpreter &interp) noexcept {
    if (trace::is_on())
        trace::note(trace::kind::pool, 0, trace::word_of(&interp), interp.pool.size());
}
} // namespace

size_t drain(interpreter &interp, size_t most) noexcept {
    const kept_errno keeps;
    object *batch[pool::largest_batch];
    size_t released = 0;
    // The thread that finalizes Python may have no record yet.
    thread *me = own_record();
    if (!me)
        return 0;
    no_drain_scope no_drain;
    trace::work noted(trace::kind::drained);
    note_pool(interp);
    const participant *self = find_participant(me, interp);
    const decref_queue *own = self ? self->queue : nullptr;
    while (released < most && !interp.pool.is_empty()) {
        size_t taken = interp.pool.take(batch, std::min(most - released, pool::largest_batch), own);
        if (taken == 0)
            break; // another drain took them
        // A destructor may drain, too. What that inner drain has left is added to what this one has left.
        const uint32_t left_before = me->batch_left;
        cpython::kept_error kept;
        cpython::guarded([&] {
            const cpython::table &py = cpython::python();
            const cpython::counting counting = cpython::trusted.counting.load(std::memory_order_relaxed);
            for (size_t i = 0; i < taken; ++i) {
                if (cpython::decref_fast(counting, batch[i]))
                    continue;
                me->batch_left = left_before + static_cast<uint32_t>(taken - i - 1);
                py.decref(batch[i]);
            }
        });
        me->batch_left = left_before;
        released += taken;
    }
    count(event::drops_released, released);
    noted.add(released);
    note_pool(interp);
    // Also what this drain has put back into the pool's list, or other threads have put there meanwhile.
    if (!interp.pool.is_empty())
        housekeeping::request(interp);
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
        // References that the destructors give back meanwhile are not included, so this ends.
        drain(*interp, interp->pool.size());
    discard_late_record(*this_thread.record());
    return PYATTACH_OK;
}

size_t pool_size_of_current() noexcept {
    thread_state *tstate = current_tstate();
    cpython::interp_state *state = tstate ? cpython::python().interp_of(tstate) : nullptr;
    lock_registry();
    interpreter *interp = state ? find_interpreter_locked(state) : main_interpreter();
    const size_t size = interp && !interp->is_cleared() ? interp->pool.size() : 0;
    unlock_registry();
    return size;
}

void orphan_queue([[maybe_unused]] participant &ending) noexcept {
#if PYATTACH_REFERENCE_POOL
    interpreter &interp = *ending.interp;
    decref_queue *queue = std::exchange(ending.queue, nullptr);
    if (queue && interp.pool.orphan(*queue) && !housekeeping::request(interp))
        schedule_drain(interp, ending);
#endif
}

void reschedule_drain() noexcept {
#if PYATTACH_REFERENCE_POOL
    if (is_drain_disabled() || this_thread.forbidden)
        return;
    this_thread.set_drain_deferred(false);
    schedule_drain_if_needed();
#endif
}

void run_deferred() noexcept {
    if (this_thread.drain_deferred)
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
