// References given back by threads that were not attached.
#include "pool.hpp"

#include <cstdlib>

#include "fatal.hpp"
#include "interpreter.hpp"
#include "thread.hpp"

namespace pyattach {

bool pool::push(object *reference) noexcept {
    node *one = static_cast<node *>(std::malloc(sizeof(node)));
    if (!one)
        return false;
    one->reference = reference;
    uintptr_t head = head_.load(std::memory_order_relaxed);
    do {
        if (head == closed) {
            std::free(one);
            return false;
        }
        one->next = reinterpret_cast<node *>(head);
        // Release: pairs with the acquire in take(), which reads the node.
    } while (!head_.compare_exchange_weak(head, reinterpret_cast<uintptr_t>(one), std::memory_order_release,
                                          std::memory_order_relaxed));
    size_t size = size_.fetch_add(1, std::memory_order_relaxed) + 1;
    size_t high = high_water_.load(std::memory_order_relaxed);
    while (size > high && !high_water_.compare_exchange_weak(high, size, std::memory_order_relaxed)) {
    }
    return true;
}

pool::node *pool::take(uintptr_t leave_behind) noexcept {
    uintptr_t head = head_.load(std::memory_order_relaxed);
    do {
        if (head == closed)
            return nullptr;
    } while (!head_.compare_exchange_weak(head, leave_behind, std::memory_order_acquire, std::memory_order_relaxed));
    // The newest is on top; release in the order in which each thread gave back.
    node *oldest = nullptr;
    for (node *one = reinterpret_cast<node *>(head); one;) {
        node *next = one->next;
        one->next = oldest;
        oldest = one;
        one = next;
    }
    return oldest;
}

void pool::drain() noexcept {
    // Who drains is attached through us, or has asked for it by hand: either way there is a record.
    thread *me = this_thread.record;
    node *one = take(0);
    if (!one)
        return;
    // A destructor may drain again by hand; its batch comes on top.
    size_t batch = 0;
    for (const node *each = one; each; each = each->next)
        ++batch;
    me->batch_left += batch;
    ++this_thread.quiet;
    {
        cpython::kept_error kept;
        while (one) {
            node *next = one->next;
            object *reference = one->reference;
            std::free(one);
            // Before the destructor runs: what it sees as waiting must not count what is being released.
            size_.fetch_sub(1, std::memory_order_relaxed);
            --me->batch_left;
            cpython::guarded([reference] { cpython::python().decref(reference); });
            one = next;
        }
    }
    --this_thread.quiet;
    count(event::drops_released, batch);
}

size_t pool::close() noexcept {
    size_t leaked = 0;
    for (node *one = take(closed); one; ++leaked) {
        node *next = one->next;
        std::free(one);
        one = next;
    }
    size_.store(0, std::memory_order_relaxed);
    return leaked;
}

size_t pool::recount() noexcept {
    uintptr_t head = head_.load(std::memory_order_relaxed);
    size_t there = 0;
    for (const node *one = head > closed ? reinterpret_cast<const node *>(head) : nullptr; one; one = one->next)
        ++there;
    // Destructors may fork: what this thread is releasing itself is not lost.
    if (this_thread.record)
        there += this_thread.record->batch_left;
    size_t counted = size_.exchange(there, std::memory_order_relaxed);
    return counted > there ? counted - there : 0;
}

namespace {

// Whose reference a drop on this thread is.
interpreter *standing_for(thread_state *now) noexcept {
    if (now)
        return known(cpython::python().interpreter_of(now));
    if (const thread *me = this_thread.record)
        for (const frame *one = me->top; one->tag != tag::base; one = one->below)
            if (one->tag == tag::detached)
                return one->where;
    return main_interpreter();
}

void defer(interpreter *owner, object *reference) noexcept {
#if PYATTACH_REFERENCE_POOL
    // An interpreter whose exit hook is not registered could end unnoticed, and its references would be released in its
    // next life.
    if (owner && owner->hook.load(std::memory_order_relaxed) == interpreter::registered &&
        owner->pool.push(reference)) {
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

} // namespace

void drop(object *reference, interpreter *owner) noexcept {
    if (!reference)
        return;
    const cpython::table &py = cpython::python();
    thread_state *now = current_state();
    bool release_now = now && !this_thread.forbidden;
    if (release_now && owner) {
        interpreter *here = known(py.interpreter_of(now));
        release_now = here == owner;
    }
    if (!release_now) {
        defer(owner ? owner : standing_for(now), reference);
        return;
    }
    count(event::drops_now);
    cpython::guarded([&py, reference] { py.decref(reference); });
}

status take_reference(object *reference) noexcept {
    if (!reference)
        return PYATTACH_INVALID;
    if (status refused = require_attached())
        return refused;
    cpython::python().incref(reference);
    return PYATTACH_OK;
}

status drain_current() noexcept {
    if (status refused = require_attached())
        return refused;
    if (!own_record())
        return PYATTACH_NO_MEMORY;
    if (interpreter *here = known(cpython::python().interpreter_of(current_state())))
        here->pool.drain();
    return PYATTACH_OK;
}

size_t waiting() noexcept {
    thread_state *now = current_state();
    interpreter *here = now ? known(cpython::python().interpreter_of(now)) : main_interpreter();
    return here ? here->pool.size() : 0;
}

} // namespace pyattach
