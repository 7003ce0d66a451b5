// Mutex: a lock that detaches while it waits.
#include "mutex.hpp"

#include "detached.hpp"
#include "fatal.hpp"
#include "futex.hpp"
#include "thread.hpp"

namespace pyattach::mutex {
namespace {

constexpr uint8_t locked = 1;
// A waiter that began before Python was loaded sleeps where CPython's own unlock does not look; it looks again by
// itself.
constexpr int64_t look_again_ns = 10000000;

bool take(mutex_storage &one) noexcept {
    uint8_t seen = one.bits.load(std::memory_order_relaxed);
    while (!(seen & locked))
        if (one.bits.compare_exchange_weak(seen, seen | locked, std::memory_order_seq_cst, std::memory_order_relaxed))
            return true;
    return false;
}

// Not attached, or not to be detached.
void wait(mutex_storage &one) noexcept {
    const cpython::table &py = cpython::python();
    if (py.has_mutex && !current_state()) {
        py.mutex_lock(&one);
        return;
    }
    // Counted before the last look at the bits, both sequentially consistent, as is the unlocker's clear before its
    // look at the count: either the mutex is seen free here, or the unlocker sees somebody to wake.
    one.waiters.fetch_add(1, std::memory_order_seq_cst);
    for (;;) {
        uint32_t turn = one.turn.load(std::memory_order_seq_cst);
        if (take(one))
            break;
        futex::wait(one.turn, turn, cpython::is_found() && !py.has_mutex ? -1 : look_again_ns);
    }
    one.waiters.fetch_sub(1, std::memory_order_relaxed);
}

} // namespace

bool try_lock(mutex_storage &one) noexcept {
    if (!take(one))
        return false;
    ++this_thread.quiet;
    return true;
}

void lock(mutex_storage &one) noexcept {
    if (__builtin_expect(try_lock(one), 1))
        return;
    // Quiet already while coming back: a destructor run by the re-attach would run under the lock.
    ++this_thread.quiet;
    detached_scope gap;
    if (detached::begin(gap) != PYATTACH_OK) {
        // Not attached, or inside tp_traverse, where nothing may detach.
        wait(one);
        return;
    }
    wait(one);
    if (detached::end(gap) != PYATTACH_OK) {
        unlock(one);
        cpython::park();
    }
}

void unlock(mutex_storage &one) noexcept {
    uint8_t seen = locked;
    if (!one.bits.compare_exchange_strong(seen, 0, std::memory_order_seq_cst)) {
        if (!(seen & locked))
            misuse("pyattach_mutex_unlock: the mutex is not locked.", "Only a locked mutex is unlocked.",
                   "Pair each lock with one unlock.");
        // Somebody is parked in CPython's parking lot: only CPython can wake them.
        cpython::python().mutex_unlock(&one);
    }
    if (this_thread.quiet)
        --this_thread.quiet;
    if (one.waiters.load(std::memory_order_seq_cst)) {
        one.turn.fetch_add(1, std::memory_order_seq_cst);
        futex::wake(one.turn, 1);
    }
}

} // namespace pyattach::mutex
