// Internal lock: guards the library's own lists. A forking thread holds them all, and no other thread has to wait for
// the end of the fork.
//
//                lock               hold (the forking thread, before the fork)
//     free  ------------> locked       free ----> held ----> free   release_hold (in the parent)
//           <------------                       lock | ^
//               unlock                               v | unlock
//                                                borrowed
//
// This library's pthread_atfork handlers *hold* every internal lock over the fork, so that the child finds nothing half
// written. But handlers of other libraries run between them. A handler that was registered before this library's may
// join worker threads before the fork, or start threads after it and wait for them (thread pools of linear algebra and
// RPC libraries do), and a thread that begins or ends needs these locks. So a thread that finds a lock held waits for a
// short time, which is longer than most forks take, and then *borrows* the lock.
//
// Borrowing is safe in the parent, because the forking thread neither reads nor writes what the locks guard between its
// two handlers. The second handler ends the hold; a lock that is borrowed at that time becomes an ordinary locked one.
// The first borrowing is evidence that a handler is waiting, so from then until the end of the fork every other thread
// borrows without waiting. The forking thread itself borrows at once, in handlers of other libraries.
//
// In the child a lock may be borrowed. Its borrower is not in the child and may have been interrupted in the middle of
// a change, so the child gives up what the lock guards without reading it. The child sees that the lock is borrowed,
// because the borrower marked the lock before it wrote anything else, and fork() copies each thread's writes up to some
// moment and none after it. (The kernel holds the page tables of the process while it copies them. A thread that would
// write to a page that has been copied waits until all pages are.)
//
// Two threads may fork at the same time. The second one waits for the first as it would for a held lock, and then
// borrows all locks over its own fork. They are locked and not held then, and what they guard is complete.
//
// Locking is one compare-and-swap, and so is unlocking. After the lock has been released, unlock() uses only its
// address, because the object that contains the lock may have been freed.
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
    // False: the lock is still locked, or still held for a fork and not yet to be borrowed, after this time.
    bool lock_within(int64_t limit_ns) noexcept;
    void unlock() noexcept {
        if (__builtin_expect(!change(locked, 0, std::memory_order_release), 0))
            unlock_slow();
    }

    // Around fork(). The forking thread calls these between fork_hold::begin and fork_hold::end.
    void hold() noexcept;
    // Holds a lock that the forking thread has locked.
    void hold_locked() noexcept;
    // False: the lock could not be locked within this time, and is not held.
    bool hold_within(int64_t limit_ns) noexcept;
    // In the parent: ends the hold.
    void release_hold() noexcept;
    // In the child: makes the lock free. True: a thread that is not in the child had borrowed it.
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

// Records which thread holds all internal locks for a fork.
namespace fork_hold {

// Called before the first lock is held. False: this thread holds them all already, because a handler of another library
// forks within a fork. Then the caller neither holds the locks nor releases them.
bool begin() noexcept;
// Called in the parent before the first lock is released. False: as above.
bool is_outermost() noexcept;
// Whether the locks are held; false for the second of two forking threads, which has only locked them.
bool is_first() noexcept;
// Called after the last lock has been released in the parent, or restarted in the child.
void end() noexcept;
void end_in_child() noexcept;

} // namespace fork_hold
} // namespace pyattach
