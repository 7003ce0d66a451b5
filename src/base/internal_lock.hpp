// Internal lock: guards the library's own lists. A fork holds them all, and no thread has to wait for the fork.
//
//                lock               hold (the forking thread, before the fork)
//     free  ------------> locked       free ----> held ----> free   let_go (in the parent)
//           <------------                       lock | ^
//               unlock                               v | unlock
//                                                borrowed
//
// The handlers of pthread_atfork hold every internal lock over the fork, so that the child finds nothing half written.
// But handlers of other libraries run in between: one that is older than ours may join worker threads before the fork,
// or start some after it and wait for them (pools of linear algebra and RPC libraries do), and a thread that begins or
// ends needs these locks. So a thread that finds a lock held for a fork waits for a moment only, which is longer than
// most forks take, and then *borrows* it. That is safe in the parent, because the forking thread touches nothing that
// it holds between its handlers; it takes its hold away afterwards, and a borrowed lock is then simply a locked one.
// After the first borrowing there is evidence that a handler waits, and no other thread waits any more until the fork
// is over. The forking thread itself, in handlers of other libraries, borrows at once.
//
// In the child a lock may turn out to be borrowed: then its borrower, which is not there, may have been half way
// through. What the lock guards is given up unread. The child sees the borrowing, because the borrower marked the lock
// before it wrote anything: fork() copies a process so that each thread's writes up to some moment are there, and none
// after it (the kernel holds the page tables of the process while it copies them; a thread that would write to a page
// that was copied waits until all are).
//
// Two threads may fork at once. The second one waits for the first, as for a lock, and as shortly: then it borrows all
// locks over its own fork. They are locked and not held then, and what they guard is whole.
//
// Locking is one compare-and-swap, and so is unlocking. Unlocking does not touch the lock once it let go, except for
// its address: what it is part of may be gone.
#pragma once

#include "platform/futex.hpp"

namespace pyattach {

class internal_lock {
  public:
    constexpr internal_lock() noexcept = default;
    internal_lock(const internal_lock &) = delete;
    internal_lock &operator=(const internal_lock &) = delete;

    void lock() noexcept {
        if (__builtin_expect(!change(0, locked, std::memory_order_acquire), 0))
            lock_slow();
    }
    // False: not within this time; or it is held for a fork, and its turn to be borrowed has not come by then.
    bool lock_within(int64_t limit_ns) noexcept;
    void unlock() noexcept {
        if (__builtin_expect(!change(locked, 0, std::memory_order_release), 0))
            unlock_slow();
    }

    // Around fork(), by the thread that forks, between fork_hold::begin and fork_hold::end. The second one turns a lock
    // that the thread has locked into one that is held.
    void hold() noexcept;
    void hold_locked() noexcept;
    bool hold_within(int64_t limit_ns) noexcept;
    void let_go() noexcept;
    // In the child. True: a thread that is not there had borrowed it.
    bool restart() noexcept;

  private:
    enum : uint32_t { locked = 1, awaited = 2, held = 4 };

    bool change(uint32_t from, uint32_t to, std::memory_order order) noexcept {
        return word_.compare_exchange_strong(from, to, order, std::memory_order_relaxed);
    }
    void lock_slow() noexcept { lock_until(-1); }
    bool lock_until(int64_t deadline_ns) noexcept;
    void unlock_slow() noexcept;

    futex::word word_{0};
};

// Which thread holds all locks for a fork.
namespace fork_hold {

// Before the first lock is held. False: this thread holds them all already, because a handler of another library forks
// in the middle of a fork; then there is nothing to hold or to let go of.
bool begin() noexcept;
// In the parent, before the first lock is let go of. False: likewise.
bool is_outermost() noexcept;
// Whether the locks are held, not merely locked by the second of two threads that fork.
bool is_first() noexcept;
// After the last lock was let go of in the parent, or restarted in the child.
void end() noexcept;
void end_in_child() noexcept;

} // namespace fork_hold
} // namespace pyattach
