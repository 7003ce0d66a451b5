// Drop: a reference is given back, on any thread at any time.
#include "objects/decref.hpp"

#include <algorithm>
#include <utility>

#include "base/diagnostics.hpp"
#include "lifecycle/fork.hpp"
#include "core/interpreter.hpp"
#include "platform/kept_errno.hpp"
#include "core/thread.hpp"

namespace pyattach {
namespace {

std::atomic<size_t> budget_objects{256};

// Whose reference a drop on this thread is.
interpreter *standing_for(thread_state *tstate) noexcept {
    if (tstate)
        return find_interpreter(cpython::python().interp_of(tstate));
    if (const thread *me = this_thread.record())
        for (const frame &scope : open_frames(*me))
            if (scope.tag == tag::detached)
                return scope.interp;
    return main_interpreter();
}

#if PYATTACH_REFERENCE_POOL

int run_scheduled_drain(void *record) noexcept;

// No thread attaches, so Python is asked to release what waits. It may be asked on any thread, attached or not, as long
// as the interpreter is there (the gate) and no traverse runs (it takes a lock of CPython's, which in the child of a
// raw fork may be held by a thread that is not there). Only the main interpreter listens.
void schedule_drain(interpreter &interp, participant &self) noexcept {
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
        schedule_drain(*main, *self);
    if (me)
        discard_late_record(*me);
}

bool is_queued(interpreter &interp, participant &self, pool::outcome what) noexcept {
    if (what == pool::outcome::crowded)
        schedule_drain(interp, self);
    return what != pool::outcome::refused;
}

bool queue(interpreter &owner, object *reference) noexcept {
    // An interpreter could end unnoticed otherwise, and its references would be released in its next life.
    if (!owner.notices_its_end() || owner.gate.is_dead())
        return false;
    thread *me = this_thread.record();
    participant *self = me ? me->participants : nullptr; // the one it met last, which it nearly always is
    if (__builtin_expect(!self || self->interp != &owner || !self->queue || this_thread.ended, 0)) {
        me = own_record();
        self = me ? find_participant(*me, owner) : nullptr;
        // Past its exit hook a thread makes nothing that lasts: record and participant go when the reference is queued.
        if (this_thread.ended || !self || (!self->queue && !(self->queue = owner.pool.add_queue()))) {
            const pool::outcome what = owner.pool.push_single(reference, self);
            const bool is_in = self ? is_queued(owner, *self, what) : what != pool::outcome::refused;
            if (me)
                discard_late_record(*me);
            return is_in;
        }
    }
    return is_queued(owner, *self, owner.pool.push(*self->queue, reference));
}

void note(interpreter &interp, participant &self, pool::outcome what) noexcept {
    count(is_queued(interp, self, what) ? event::drops_queued : event::drops_leaked);
}
// Not inline: they would cost the fast_record case its registers.
[[gnu::noinline]] void push_fenced(interpreter &interp, participant &self, object *reference) noexcept {
    note(interp, self, interp.pool.push_fenced(*self.queue, reference));
}
[[gnu::noinline]] void enlist(interpreter &interp, participant &self) noexcept {
    note(interp, self, interp.pool.enlist(*self.queue));
}

#endif

void defer(interpreter *owner, object *reference) noexcept {
#if PYATTACH_REFERENCE_POOL
    if (owner && queue(*owner, reference)) {
        count(event::drops_queued);
        return;
    }
#elif !PYATTACH_LEAK_ON_DROP
    (void)owner, (void)reference;
    misuse("a reference was given back on a thread that is not attached.",
           "This library was built without a reference pool (-Dreference_pool=false).",
           "Give references back inside an attached scope, or build with the pool or with -Dleak_on_drop=true.");
#else
    (void)owner, (void)reference;
#endif
    count(event::drops_leaked);
}

[[gnu::noinline]] void release_by_call(object *reference) noexcept {
    const kept_errno kept;
    cpython::guarded([reference] { cpython::python().decref(reference); });
}
inline void release(object *reference) noexcept {
    if (!cpython::decref_fast(cpython::trusted.counting.load(std::memory_order_relaxed), reference))
        release_by_call(reference);
}

[[gnu::noinline]] void decref_slow(object *reference, interpreter *owner) noexcept {
    const kept_errno kept;
    thread_state *tstate = current_tstate(); // finds Python if need be
    bool release_now = tstate && !this_thread.forbidden;
    if (release_now && owner)
        release_now =
            owner->state == cpython::python().interp_of(tstate) && !owner->is_cleared.load(std::memory_order_acquire);
    if (!release_now) {
        defer(owner ? owner : standing_for(tstate), reference);
        return;
    }
    count(event::drops_now);
    release(reference);
}

} // namespace

// Written out for the two fast_record cases, a thread in a warm scope and one that is not attached and gave something
// back before; the rest is for the slow path.
void decref(object *reference, interpreter *owner) noexcept {
    if (!reference)
        return;
    if (!this_thread.is_fast())
        return decref_slow(reference, owner);
    thread &me = this_thread.fast_record();
    if (const thread_state *tstate = cpython::peek(me.current_at)) {
        if (is_warm_inside(me, tstate) && (!owner || owner == me.fast_participant()->interp)) {
            me.counted.add(event::drops_now);
            return release(reference);
        }
        return decref_slow(reference, owner);
    }
#if PYATTACH_REFERENCE_POOL
    const frame &top = *me.top;
    participant *self = me.participants;
    interpreter *interp = owner;
    if (!interp)
        interp = top.tag == tag::detached ? top.interp : top.tag == tag::base ? main_interpreter() : nullptr;
    // Whose it is has been compared before it is looked into: the scope on top may be one that cannot be read. A thread
    // that has queued there before has seen the exit hook registered.
    const bool is_detached = me.current_at != &cpython::unknown;
    if (is_detached && interp && self && self->interp == interp && self->queue && !interp->gate.is_dead()) {
        if (!self->queue->is_ready())
            return push_fenced(*interp, *self, reference);
        if (!self->queue->push_plainly(reference))
            return enlist(*interp, *self);
        return me.counted.add(event::drops_queued);
    }
#endif
    decref_slow(reference, owner);
}

status take_reference(object *reference) noexcept {
    if (!reference)
        return PYATTACH_INVALID;
    if (status refused = require_attached())
        return refused;
    cpython::python().incref(reference);
    return PYATTACH_OK;
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
