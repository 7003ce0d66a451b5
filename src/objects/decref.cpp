// Decref: releases a reference now if the thread is attached, else pushes it into the pool of its interpreter.
#include "objects/decref.hpp"

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "core/housekeeping.hpp"
#include "core/interpreter.hpp"
#include "core/thread.hpp"
#include "cpython/guarded.hpp"
#include "cpython/layout.hpp"
#include "objects/drain.hpp"
#include "platform/kept_errno.hpp"

namespace pyattach {
namespace {

// The interpreter of a reference for which the caller named none; see pool.h.
interpreter *default_interp(thread_state *tstate) noexcept {
    if (tstate)
        return find_interpreter(cpython::python().interp_of(tstate));
    if (const thread *me = this_thread.record())
        for (const frame &scope : open_frames(*me))
            if (scope.tag == tag::detached)
                return scope.interp;
    return main_interpreter();
}

#if PYATTACH_REFERENCE_POOL

// True: the pool holds the reference. Requests housekeeping, or schedules a drain if the pool is over its high-water
// mark and no housekeeper comes. `self` NULL: the thread has no participant.
bool check_outcome(interpreter &interp, participant *self, pool::outcome outcome) noexcept {
    const bool is_over_mark = outcome == pool::outcome::over_mark;
    if ((is_over_mark || outcome == pool::outcome::listed) && !housekeeping::request(interp) && is_over_mark && self)
        schedule_drain(interp, *self);
    return outcome != pool::outcome::refused;
}

// False: the pool refused, and the reference leaks.
bool push_to_pool(interpreter &interp, object *reference) noexcept {
    // If the end of the interpreter does not close its pool, the references would be released in the next interpreter
    // at the same address.
    if (!interp.notices_its_end() || interp.gate.is_ended())
        return false;
    thread *me = this_thread.record();
    participant *self = me ? me->participants : nullptr; // the newest one, which is nearly always the right one
    if (__builtin_expect(!self || self->interp != &interp || !self->queue || this_thread.ended, 0)) {
        me = own_record();
        self = me ? find_or_make_participant(*me, interp) : nullptr;
        // A thread that is past its thread-exit hook makes no queue, because no hook would free it. Its record and
        // participant are given up as soon as the reference is in the pool.
        if (this_thread.ended || !self || (!self->queue && !(self->queue = interp.pool.add_queue()))) {
            const pool::outcome outcome = interp.pool.push_single(reference, self);
            const bool is_in_pool = check_outcome(interp, self, outcome);
            if (me)
                discard_late_record(*me);
            return is_in_pool;
        }
    }
    return check_outcome(interp, self, interp.pool.push(*self->queue, reference));
}

// Not inline, or the fast path of decref would have to save registers around it.
[[gnu::noinline]] void finish_push_and_count(interpreter &interp, participant &self, object *reference,
                                             pool::unfinished step) noexcept {
    const pool::outcome outcome = interp.pool.finish_push(*self.queue, reference, step);
    count(check_outcome(interp, &self, outcome) ? event::drops_queued : event::drops_leaked);
}

#endif

void defer(interpreter *interp, object *reference) noexcept {
#if PYATTACH_REFERENCE_POOL
    if (interp && push_to_pool(*interp, reference)) {
        count(event::drops_queued);
        return;
    }
#elif !PYATTACH_LEAK_ON_DROP
    (void)interp, (void)reference;
    misuse("a reference was given back on a thread that is not attached.",
           "This library was built without a reference pool (-Dreference_pool=false).",
           "Give references back inside an attached scope, or build with the pool or with -Dleak_on_drop=true.");
#else
    (void)interp, (void)reference;
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

[[gnu::noinline]] void decref_slow(object *reference, interpreter *interp) noexcept {
    const kept_errno kept;
    this_thread.retag();
    thread_state *tstate = current_tstate(); // finds Python if it was not found yet
    bool release_now = tstate && !this_thread.forbidden;
    if (release_now && interp)
        release_now = interp->state == cpython::python().interp_of(tstate) && !interp->is_cleared();
    if (!release_now) {
        defer(interp ? interp : default_interp(tstate), reference);
        return;
    }
    count(event::drops_now);
    release(reference);
}

// The current tstate is not the thread's warm one: other code attached this thread. With the parameters of decref
// first, so that decref saves no registers around the call.
[[gnu::noinline]] void decref_not_warm(object *reference, interpreter *interp, thread &me) noexcept {
    thread_state *tstate = cpython::peek(me.current_at);
    // The tstate is read only if it is this thread's.
    if (!tstate || !is_own_current(cpython::python(), tstate) ||
        (interp && (interp->state != cpython::interp_in(tstate) || interp->is_cleared())))
        return decref_slow(reference, interp);
    me.counted.add(event::drops_now);
    release(reference);
}

} // namespace

// There are three fast paths: a thread in a warm scope, one that other code attached, and a thread that is not attached
// and has a queue in the pool.
// Everything else takes the slow path.
void decref(object *reference, interpreter *interp) noexcept {
    if (!reference)
        return;
    thread *const fast = this_thread.fast_record();
    if (!fast)
        return decref_slow(reference, interp);
    thread &me = *fast;
    if (const thread_state *tstate = cpython::peek(me.current_at)) {
        if (is_warm_inside(me, tstate) && (!interp || interp == me.fast_participant->interp)) {
            me.counted.add(event::drops_now);
            return release(reference);
        }
        return decref_not_warm(reference, interp, me);
    }
#if PYATTACH_REFERENCE_POOL
    const frame &top = *me.top;
    participant *self = me.participants;
    interpreter *target = interp;
    if (!target)
        target = top.tag == tag::detached ? top.interp : top.tag == tag::base ? main_interpreter() : nullptr;
    // `target` comes from the top frame, which may be one that cannot be read (frames.hpp). So it is compared with the
    // participant's interpreter before it is dereferenced. A thread that has a queue there has checked before that the
    // library is notified of the interpreter's end.
    const bool is_surely_detached = me.current_at != &cpython::unknown;
    if (is_surely_detached && target && self && self->interp == target && self->queue && !target->gate.is_ended()) {
        const pool::unfinished step = self->queue->push_plain(reference);
        if (__builtin_expect(step != pool::unfinished::nothing, 0))
            return finish_push_and_count(*target, *self, reference, step);
        return me.counted.add(event::drops_queued);
    }
#endif
    decref_slow(reference, interp);
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
