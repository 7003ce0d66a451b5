// Drop: a reference is given back, on any thread at any time.
#include "objects/decref.hpp"
#include "objects/drain.hpp"

#include <algorithm>
#include <utility>

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "core/interpreter.hpp"
#include "core/thread.hpp"
#include "cpython/guarded.hpp"
#include "cpython/layout.hpp"
#include "platform/kept_errno.hpp"

namespace pyattach {
namespace {

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

} // namespace pyattach
