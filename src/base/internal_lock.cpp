// Internal lock: waiting, borrowing, and holding for a fork.
#include "base/internal_lock.hpp"

#include "platform/clock.hpp"
#include "platform/native_thread.hpp"

namespace pyattach {
namespace {

// How long a thread waits for a held lock: longer than most forks take, and short for a program that would hang
// otherwise.
constexpr int64_t grace_ns = 20000000;

// The thread that holds the locks for its fork; 0: none does. Relaxed loads suffice, because a thread compares the
// value only with its own ident, which only it stores.
std::atomic<uintptr_t> forking_thread{0};
std::atomic<bool> is_borrowing{false}; // another thread has borrowed a lock during this fork
futex::word forks_over{0};             // counts the forks that have ended
// How deep the forks of `forking_thread` are nested. Only that thread uses it.
int depth = 0;

// A C-style cast, because a pthread_t is a number on some systems and a pointer on others.
uintptr_t self() noexcept { return (uintptr_t)own_ident(); } // NOLINT(google-readability-casting)
bool is_forking() noexcept { return forking_thread.load(std::memory_order_relaxed) == self(); }

// How long this thread still waits for a lock that is held for a fork; 0: it borrows the lock. `deadline_ns` belongs to
// one wait and is 0 before the first call.
int64_t grace_left_ns(int64_t &deadline_ns) noexcept {
    if (is_forking() || is_borrowing.load(std::memory_order_relaxed))
        return 0;
    const int64_t now_ns = monotonic_ns();
    if (deadline_ns == 0)
        deadline_ns = now_ns + grace_ns;
    return deadline_ns > now_ns ? deadline_ns - now_ns : 0;
}

} // namespace

bool internal_lock::lock_until(int64_t deadline_ns) noexcept {
    // A thread that has waited cannot determine whether other threads still wait, so it sets `awaited` when it locks.
    // The last unlock may then wake no thread, but no waiting thread is left asleep.
    uint32_t mark = 0;
    int64_t grace_deadline_ns = 0;
    for (;;) {
        uint32_t seen = word_.load(std::memory_order_relaxed);
        int64_t left_ns = -1;
        if (!(seen & locked)) {
            left_ns = seen & held ? grace_left_ns(grace_deadline_ns) : 0;
            if (left_ns == 0) {
                if (!word_.compare_exchange_strong(seen, seen | locked | mark, std::memory_order_acquire,
                                                   std::memory_order_relaxed))
                    continue;
                if (seen & held && !is_forking())
                    is_borrowing.store(true, std::memory_order_relaxed);
                return true;
            }
        }
        if (deadline_ns >= 0) {
            const int64_t limit_ns = deadline_ns - monotonic_ns();
            if (limit_ns <= 0)
                return false;
            left_ns = left_ns < 0 || limit_ns < left_ns ? limit_ns : left_ns;
        }
        if (!(seen & awaited) &&
            !word_.compare_exchange_strong(seen, seen | awaited, std::memory_order_relaxed, std::memory_order_relaxed))
            continue;
        futex::wait(word_, seen | awaited, left_ns);
        mark = awaited;
    }
}

bool internal_lock::lock_within(int64_t limit_ns) noexcept {
    return change(0, locked, std::memory_order_acquire) || lock_until(monotonic_ns() + limit_ns);
}

void internal_lock::unlock_slow() noexcept {
    // `held` stays set. All waiting threads are woken, because some may wait for the lock and others for the fork.
    if (word_.fetch_and(~static_cast<uint32_t>(locked | awaited), std::memory_order_release) & awaited)
        futex::wake(word_, futex::everyone);
}

// Wakes the threads that wait for the locked lock, because that wait has no limit: from here on they wait for a held
// one.
void internal_lock::hold_locked() noexcept {
    if (is_forking() && word_.exchange(held, std::memory_order_release) & awaited)
        futex::wake(word_, futex::everyone);
}

void internal_lock::hold() noexcept {
    lock();
    hold_locked();
}

bool internal_lock::hold_within(int64_t limit_ns) noexcept {
    if (!lock_within(limit_ns))
        return false;
    hold_locked();
    return true;
}

void internal_lock::release_hold() noexcept {
    if (!is_forking())
        return unlock();
    // `held` may be clear: a thread that borrowed other locks may have made this one, or taken it into use, during the
    // fork.
    if (word_.fetch_and(~static_cast<uint32_t>(held), std::memory_order_release) & awaited)
        futex::wake(word_, futex::everyone);
}

bool internal_lock::restart() noexcept {
    // In the child of the second of two forking threads the lock is locked by that thread itself.
    return (word_.exchange(0, std::memory_order_relaxed) & locked) && is_forking();
}

namespace fork_hold {

bool begin() noexcept {
    if (is_forking()) {
        ++depth;
        return false;
    }
    int64_t deadline_ns = 0;
    for (;;) {
        const uint32_t seen = forks_over.load(std::memory_order_acquire);
        uintptr_t expected = 0;
        if (forking_thread.compare_exchange_strong(expected, self(), std::memory_order_acquire)) {
            depth = 1;
            return true;
        }
        const int64_t left_ns = grace_left_ns(deadline_ns);
        if (left_ns == 0)
            return true; // as the second of two forking threads
        futex::wait(forks_over, seen, left_ns);
    }
}

bool is_outermost() noexcept {
    if (!is_forking() || depth == 1)
        return true;
    --depth;
    return false;
}

bool is_first() noexcept { return is_forking(); }

void end() noexcept {
    if (!is_forking())
        return; // the first of two forking threads still holds the locks
    is_borrowing.store(false, std::memory_order_relaxed);
    forking_thread.store(0, std::memory_order_release);
    forks_over.fetch_add(1, std::memory_order_release);
    futex::wake(forks_over, futex::everyone);
}

void end_in_child() noexcept {
    is_borrowing.store(false, std::memory_order_relaxed);
    forking_thread.store(0, std::memory_order_relaxed);
}

} // namespace fork_hold
} // namespace pyattach
