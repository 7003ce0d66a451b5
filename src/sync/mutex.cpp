// Mutex: a lock that detaches the thread while it waits.
#include "sync/mutex.hpp"

#include <algorithm>

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "core/interpreter.hpp"
#include "core/thread.hpp"
#include "core/trace.hpp"
#include "cpython/guarded.hpp"
#include "lifecycle/fork.hpp"
#include "objects/call.hpp"
#include "platform/clock.hpp"
#include "platform/futex.hpp"
#include "platform/kept_errno.hpp"
#include "platform/uncancelled.hpp"
#include "scopes/detached.hpp"

namespace pyattach::mutex {
namespace {

// A thread that began to wait before Python was loaded sleeps on the word, where CPython's own unlock does not wake it.
// So it wakes by itself and checks again.
constexpr int64_t recheck_ns = 10000000;
// On Python's main thread, a wait that can be interrupted runs signal handlers this often.
constexpr int64_t signal_interval_ns = 100000000;

// While the running thread held the lock, a drain may have been postponed, and the record of a thread past its exit
// hook was kept.
inline void enable_drains() noexcept {
    if (this_thread.drain_disabled)
        --this_thread.drain_disabled;
    if (this_thread.has_deferred())
        run_deferred();
}

// A thread that a trace has reached notes each unlock, also of a mutex for which no thread sleeps: one may be about to.
// Before the mutex is free, or another thread may have got it before this one notes anything.
[[gnu::noinline]] void note_and_run_deferred(const mutex_storage &unlocked) noexcept {
    if (this_thread.traced)
        trace::lock_event(trace::kind::lock_released, trace::lock_kind::mutex, &unlocked);
    if (this_thread.ended || this_thread.drain_deferred)
        run_deferred();
}

// Locks the mutex if it is free, with the bits of `flags` set besides.
bool lock_if_free(mutex_storage &storage, uint32_t flags) noexcept {
    uint32_t seen = storage.word.load(std::memory_order_relaxed);
    while (!(seen & locked))
        if (storage.word.compare_exchange_weak(seen, seen | locked | flags, std::memory_order_acquire,
                                               std::memory_order_relaxed))
            return true;
    return false;
}

// Sleeps on the word until the mutex is locked. False: it is not, and `end_ns` is over.
bool sleep_until_locked(mutex_storage &storage, int64_t end_ns) noexcept {
    const int64_t most_ns = cpython::is_found() && !cpython::python().has_mutex ? INT64_MAX : recheck_ns;
    // A thread that has waited cannot determine whether other threads still wait, so it locks with the flag set. At the
    // end that is one wake-up too many, but never one too few.
    while (!lock_if_free(storage, awaited)) {
        uint32_t seen = storage.word.load(std::memory_order_relaxed);
        if (!(seen & locked) || (!(seen & awaited) && !storage.word.compare_exchange_strong(seen, seen | awaited,
                                                                                            std::memory_order_relaxed)))
            continue;
        // The flag is set before the thread gives up. This thread may have been woken in place of another one, which
        // the next unlock then wakes.
        const int64_t left_ns = end_ns == INT64_MAX ? INT64_MAX : end_ns - monotonic_ns();
        if (left_ns <= 0)
            return false;
        const int64_t sleep_ns = std::min(left_ns, most_ns);
        futex::wait(storage.word, seen | awaited, sleep_ns == INT64_MAX ? -1 : sleep_ns);
    }
    return true;
}

// On a thread that is not attached, or must not detach. False: the mutex is not locked, and `end_ns` is over.
bool wait_for_lock(mutex_storage &storage, int64_t end_ns) noexcept {
    const bool is_attached = current_tstate() != nullptr; // finds Python if it was not found yet
    const cpython::table &py = cpython::python();
    // In a fork child, a thread that is not in the child may hold a lock of CPython's parking lot.
    const bool uses_parking_lot = end_ns == INT64_MAX && py.has_mutex && !is_python_out_of_order();
    if (!uses_parking_lot || is_attached)
        return sleep_until_locked(storage, end_ns);
    // If the thread were cancelled there, the parking lot would keep a pointer into a stack that is gone.
    uncancelled no_cancel;
    cpython::guarded([&py, &storage] { py.mutex_lock(&storage); });
    return true;
}

// Waits in a detached scope, if the thread can detach. Drains stay disabled while the mutex is locked; if it is not,
// they are as before. Any status but PYATTACH_OK and PYATTACH_TIMED_OUT: the thread could not be attached again.
status wait_detached(mutex_storage &storage, int64_t end_ns) noexcept {
    detached_scope detached_frame;
    const bool is_detached = detached::begin(detached_frame) == PYATTACH_OK;
    // Drains are disabled before the thread attaches again. A destructor that the attach runs would run under the lock.
    ++this_thread.drain_disabled;
    trace::lock_event(trace::kind::lock_waits, trace::lock_kind::mutex, &storage);
    const bool is_locked = wait_for_lock(storage, end_ns);
    trace::lock_event(is_locked ? trace::kind::lock_got : trace::kind::lock_gone, trace::lock_kind::mutex, &storage);
    // If not detached, the thread is not attached, or it is inside tp_traverse, where nothing may detach.
    const status attached_again = is_detached ? detached::end(detached_frame) : PYATTACH_OK;
    if (is_locked && attached_again == PYATTACH_OK)
        return PYATTACH_OK;
    if (is_locked)
        unlock(storage);
    else
        enable_drains();
    return attached_again != PYATTACH_OK ? attached_again : PYATTACH_TIMED_OUT;
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
    if (wait_detached(storage, INT64_MAX) != PYATTACH_OK)
        cpython::park();
}

void lock(mutex_storage &storage) noexcept {
    if (__builtin_expect(!try_lock(storage), 0))
        lock_slow(storage);
}

pyattach_status lock_for(mutex_storage &storage, int64_t timeout_ns) noexcept {
    if (try_lock(storage))
        return PYATTACH_OK;
    if (timeout_ns == 0)
        return PYATTACH_TIMED_OUT;
    const kept_errno kept;
    const int64_t begin_ns = monotonic_ns();
    const int64_t end_ns = timeout_ns < 0 || timeout_ns > INT64_MAX - begin_ns ? INT64_MAX : begin_ns + timeout_ns;
    const bool runs_handlers = call::can_handle_signals();
    for (;;) {
        const int64_t slice_ns = runs_handlers ? std::min(monotonic_ns() + signal_interval_ns, end_ns) : end_ns;
        const status outcome = wait_detached(storage, slice_ns);
        if (outcome == PYATTACH_TIMED_OUT && runs_handlers)
            if (status raised = call::check_signals())
                return raised;
        if (outcome != PYATTACH_TIMED_OUT || slice_ns == end_ns)
            return outcome;
    }
}

// Not inline, as lock_slow. `seen`: the word, which is not just `locked`.
[[gnu::noinline]] static void unlock_slow(mutex_storage &storage, uint32_t seen) noexcept {
    if (!(seen & locked))
        misuse("pyattach_mutex_unlock: the mutex is not locked.", "Only a locked mutex is unlocked.",
               "Pair each lock with one unlock.");
    if (!this_thread.traced)
        trace::lock_event(trace::kind::lock_released, trace::lock_kind::mutex, &storage);
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
    // A thread is parked in CPython's parking lot, and only CPython can wake it. CPython does not know of the threads
    // that sleep on the word, so one of them is woken, too.
    cpython::python().mutex_unlock(&storage);
    if (seen & awaited)
        futex::wake(storage.word, 1);
}

void unlock(mutex_storage &storage) noexcept {
    if (this_thread.drain_disabled)
        --this_thread.drain_disabled;
    if (this_thread.has_deferred())
        note_and_run_deferred(storage);
    uint32_t seen = locked;
    if (__builtin_expect(
            !storage.word.compare_exchange_strong(seen, 0, std::memory_order_release, std::memory_order_relaxed), 0))
        unlock_slow(storage, seen);
}

} // namespace pyattach::mutex
