// Mutex: a lock that detaches while it waits.
#include "sync/mutex.hpp"

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "core/interpreter.hpp"
#include "core/thread.hpp"
#include "cpython/guarded.hpp"
#include "lifecycle/fork.hpp"
#include "platform/futex.hpp"
#include "platform/kept_errno.hpp"
#include "platform/uncancelled.hpp"
#include "scopes/detached.hpp"

namespace pyattach::mutex {
namespace {

// A waiter that began before Python was loaded sleeps where CPython's own unlock does not look; it looks again by
// itself.
constexpr int64_t look_again_ns = 10000000;

// Takes it if it is free, and leaves the word with `mark` set besides.
bool take(mutex_storage &mutex_, uint32_t mark) noexcept {
    uint32_t seen = mutex_.word.load(std::memory_order_relaxed);
    while (!(seen & locked))
        if (mutex_.word.compare_exchange_weak(seen, seen | locked | mark, std::memory_order_acquire,
                                              std::memory_order_relaxed))
            return true;
    return false;
}

// Not attached, or not to be detached.
void wait(mutex_storage &mutex_) noexcept {
    const bool is_attached = current_tstate() != nullptr; // finds Python if need be
    const cpython::table &py = cpython::python();
    // In a fork child a lock of CPython's parking lot may be held by a thread that is not here.
    const bool is_parking = py.has_mutex && !is_raw_fork();
    if (is_parking && !is_attached) {
        // Not cancelled in CPython's parking lot, which would keep a waiter on a stack that is gone.
        uncancelled no_cancel;
        cpython::guarded([&py, &mutex_] { py.mutex_lock(&mutex_); });
        return;
    }
    // Who has waited cannot know whether others still do, so it locks with the mark: one wake-up too many at the end,
    // never one too few.
    while (!take(mutex_, awaited)) {
        uint32_t seen = mutex_.word.load(std::memory_order_relaxed);
        if (!(seen & locked) || (!(seen & awaited) &&
                                 !mutex_.word.compare_exchange_strong(seen, seen | awaited, std::memory_order_relaxed)))
            continue;
        futex::wait(mutex_.word, seen | awaited, cpython::is_found() && !py.has_mutex ? -1 : look_again_ns);
    }
}

} // namespace

bool try_lock(mutex_storage &mutex_) noexcept {
    if (!take(mutex_, 0))
        return false;
    ++this_thread.drain_disabled;
    return true;
}

// Not inline, or taking a free mutex would pay for what this keeps.
[[gnu::noinline]] static void lock_slow(mutex_storage &mutex_) noexcept {
    const kept_errno kept;
    detached_scope detached_frame;
    const bool is_detached = detached::begin(detached_frame) == PYATTACH_OK;
    // Quiet already while coming back: a destructor run by the re-attach would run under the lock.
    ++this_thread.drain_disabled;
    if (!is_detached) {
        // Not attached, or inside tp_traverse, where nothing may detach.
        wait(mutex_);
        return;
    }
    wait(mutex_);
    if (detached::end(detached_frame) != PYATTACH_OK) {
        unlock(mutex_);
        cpython::park();
    }
}

void lock(mutex_storage &mutex_) noexcept {
    if (__builtin_expect(!try_lock(mutex_), 0))
        lock_slow(mutex_);
}

void unlock(mutex_storage &mutex_) noexcept {
    if (this_thread.drain_disabled)
        --this_thread.drain_disabled;
    // What was open when the lock was taken may have ended under it.
    if (this_thread.has_dues())
        pay_dues();
    uint32_t seen = locked;
    if (__builtin_expect(
            mutex_.word.compare_exchange_strong(seen, 0, std::memory_order_release, std::memory_order_relaxed), 1))
        return;
    if (!(seen & locked))
        misuse("pyattach_mutex_unlock: the mutex is not locked.", "Only a locked mutex is unlocked.",
               "Pair each lock with one unlock.");
    if (!(seen & parked) &&
        mutex_.word.compare_exchange_strong(seen, 0, std::memory_order_release, std::memory_order_relaxed)) {
        // By address alone: the mutex may be gone already, and a wake-up too many harms nobody.
        futex::wake(mutex_.word, 1);
        return;
    }
    // In a fork child that Python is not in order in, those that were parked are not here, and others sleep on the
    // word.
    if (is_raw_fork()) {
        mutex_.word.store(0, std::memory_order_release);
        futex::wake(mutex_.word, futex::everyone);
        return;
    }
    // A thread is parked in CPython's parking lot: only CPython can wake it.
    cpython::python().mutex_unlock(&mutex_);
}

} // namespace pyattach::mutex
