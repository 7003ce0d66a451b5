// Mutex: a lock that detaches the thread while it waits.
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

// A thread that began to wait before Python was loaded sleeps on the word, where CPython's own unlock does not wake it.
// So it wakes by itself and checks again.
constexpr int64_t recheck_ns = 10000000;

// Locks the mutex if it is free, with the bits of `flags` set besides.
bool lock_if_free(mutex_storage &storage, uint32_t flags) noexcept {
    uint32_t seen = storage.word.load(std::memory_order_relaxed);
    while (!(seen & locked))
        if (storage.word.compare_exchange_weak(seen, seen | locked | flags, std::memory_order_acquire,
                                               std::memory_order_relaxed))
            return true;
    return false;
}

// On a thread that is not attached, or must not detach. Returns when the mutex is locked.
void wait_for_lock(mutex_storage &storage) noexcept {
    const bool is_attached = current_tstate() != nullptr; // finds Python if it was not found yet
    const cpython::table &py = cpython::python();
    // In a fork child, a thread that is not in the child may hold a lock of CPython's parking lot.
    const bool uses_parking_lot = py.has_mutex && !is_python_out_of_order();
    if (uses_parking_lot && !is_attached) {
        // If the thread were cancelled there, the parking lot would keep a pointer into a stack that is gone.
        uncancelled no_cancel;
        cpython::guarded([&py, &storage] { py.mutex_lock(&storage); });
        return;
    }
    // A thread that has waited cannot determine whether other threads still wait, so it locks with the flag set. At the
    // end that is one wake-up too many, but never one too few.
    while (!lock_if_free(storage, awaited)) {
        uint32_t seen = storage.word.load(std::memory_order_relaxed);
        if (!(seen & locked) || (!(seen & awaited) && !storage.word.compare_exchange_strong(seen, seen | awaited,
                                                                                            std::memory_order_relaxed)))
            continue;
        futex::wait(storage.word, seen | awaited, cpython::is_found() && !py.has_mutex ? -1 : recheck_ns);
    }
}

} // namespace

bool try_lock(mutex_storage &storage) noexcept {
    if (!lock_if_free(storage, 0))
        return false;
    ++this_thread.drain_disabled;
    return true;
}

// Not inline, or lock() would save registers for this even where the mutex is free.
[[gnu::noinline]] static void lock_slow(mutex_storage &storage) noexcept {
    const kept_errno kept;
    detached_scope detached_frame;
    const bool is_detached = detached::begin(detached_frame) == PYATTACH_OK;
    // Drains are disabled before the thread attaches again. A destructor that the attach runs would run under the lock.
    ++this_thread.drain_disabled;
    if (!is_detached) {
        // The thread is not attached, or it is inside tp_traverse, where nothing may detach.
        wait_for_lock(storage);
        return;
    }
    wait_for_lock(storage);
    if (detached::end(detached_frame) != PYATTACH_OK) {
        unlock(storage);
        cpython::park();
    }
}

void lock(mutex_storage &storage) noexcept {
    if (__builtin_expect(!try_lock(storage), 0))
        lock_slow(storage);
}

void unlock(mutex_storage &storage) noexcept {
    if (this_thread.drain_disabled)
        --this_thread.drain_disabled;
    // While the lock was held, a drain may have been postponed, and the record of a thread past its exit hook was kept.
    if (this_thread.has_deferred())
        run_deferred();
    uint32_t seen = locked;
    if (__builtin_expect(
            storage.word.compare_exchange_strong(seen, 0, std::memory_order_release, std::memory_order_relaxed), 1))
        return;
    if (!(seen & locked))
        misuse("pyattach_mutex_unlock: the mutex is not locked.", "Only a locked mutex is unlocked.",
               "Pair each lock with one unlock.");
    if (!(seen & parked) &&
        storage.word.compare_exchange_strong(seen, 0, std::memory_order_release, std::memory_order_relaxed)) {
        // The kernel uses the address alone. The mutex may be freed already, and a superfluous wake-up does no harm.
        futex::wake(storage.word, 1);
        return;
    }
    // In the child of a raw fork, the threads that were parked in the parking lot are not in the child, and the child's
    // threads sleep on the word.
    if (is_python_out_of_order()) {
        storage.word.store(0, std::memory_order_release);
        futex::wake(storage.word, futex::everyone);
        return;
    }
    // A thread is parked in CPython's parking lot, and only CPython can wake it.
    cpython::python().mutex_unlock(&storage);
}

} // namespace pyattach::mutex
