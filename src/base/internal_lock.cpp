// Internal lock: waiting, borrowing, and what a fork does.
#include "base/internal_lock.hpp"

#include "platform/clock.hpp"
#include "platform/native_thread.hpp"

namespace pyattach {
namespace {

// Longer than most forks take, and short for a program that would otherwise hang.
constexpr int64_t grace_ns = 20000000;

// The thread that holds the locks for its fork; 0: none does. A thread compares it with itself, so nothing depends on
// when it sees another one's.
std::atomic<uintptr_t> forking_thread{0};
std::atomic<bool> is_borrowing{false};
futex::word forks_over{0};
// How deep the forks of that thread are nested; its own.
int depth = 0;

// A number or a pointer, as the system has it.
uintptr_t self() noexcept { return (uintptr_t)own_ident(); } // NOLINT(google-readability-casting)
bool is_forking() noexcept { return forking_thread.load(std::memory_order_relaxed) == self(); }

// How long a thread still waits for a lock that is held for a fork; 0: it borrows. `until`: of this wait, 0 at first.
int64_t grace_left_ns(int64_t &until) noexcept {
    if (is_forking() || is_borrowing.load(std::memory_order_relaxed))
        return 0;
    const int64_t now = monotonic_ns();
    if (until == 0)
        until = now + grace_ns;
    return until > now ? until - now : 0;
}

} // namespace

bool internal_lock::lock_until(int64_t deadline_ns) noexcept {
    // A thread that has waited cannot know whether others still do, so it locks with the mark: one wake-up too many at
    // the end, never one too few.
    uint32_t mark = 0;
    int64_t until = 0;
    for (;;) {
        uint32_t seen = word_.load(std::memory_order_relaxed);
        int64_t left = -1;
        if (!(seen & locked)) {
            left = seen & held ? grace_left_ns(until) : 0;
            if (left == 0) {
                if (!word_.compare_exchange_strong(seen, seen | locked | mark, std::memory_order_acquire,
                                                   std::memory_order_relaxed))
                    continue;
                if (seen & held && !is_forking())
                    is_borrowing.store(true, std::memory_order_relaxed);
                return true;
            }
        }
        if (deadline_ns >= 0) {
            const int64_t in_all = deadline_ns - monotonic_ns();
            if (in_all <= 0)
                return false;
            left = left < 0 || in_all < left ? in_all : left;
        }
        if (!(seen & awaited) &&
            !word_.compare_exchange_strong(seen, seen | awaited, std::memory_order_relaxed, std::memory_order_relaxed))
            continue;
        futex::wait(word_, seen | awaited, left);
        mark = awaited;
    }
}

bool internal_lock::lock_within(int64_t limit_ns) noexcept {
    return change(0, locked, std::memory_order_acquire) || lock_until(monotonic_ns() + limit_ns);
}

void internal_lock::unlock_slow() noexcept {
    // What a fork holds stays held. All are woken: some may wait for the lock, others for the fork.
    if (word_.fetch_and(~static_cast<uint32_t>(locked | awaited), std::memory_order_release) & awaited)
        futex::wake(word_, futex::everyone);
}

// Threads that wait for a locked lock have no limit; they wait for the fork from here on.
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

void internal_lock::let_go() noexcept {
    if (!is_forking())
        return unlock();
    // One that was made, or taken into use, by a thread that borrowed others is not held.
    if (word_.fetch_and(~static_cast<uint32_t>(held), std::memory_order_release) & awaited)
        futex::wake(word_, futex::everyone);
}

bool internal_lock::restart() noexcept {
    // The second of two threads that fork has locked it itself.
    return (word_.exchange(0, std::memory_order_relaxed) & locked) && is_forking();
}

namespace fork_hold {

bool begin() noexcept {
    if (is_forking()) {
        ++depth;
        return false;
    }
    int64_t until = 0;
    for (;;) {
        const uint32_t seen = forks_over.load(std::memory_order_acquire);
        uintptr_t none = 0;
        if (forking_thread.compare_exchange_strong(none, self(), std::memory_order_acquire)) {
            depth = 1;
            return true;
        }
        const int64_t left = grace_left_ns(until);
        if (left == 0)
            return true; // the second of two
        futex::wait(forks_over, seen, left);
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
        return; // the first of two is at it still
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
