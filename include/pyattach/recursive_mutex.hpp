/* Recursive mutex: a mutex that its owner may lock again. */
#ifndef PYATTACH_RECURSIVE_MUTEX_HPP
#define PYATTACH_RECURSIVE_MUTEX_HPP

#include "detail/cpp17.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <new>
#include <pthread.h>

#include "detail/misuse.hpp"
#include "mutex.hpp"

namespace pyattach {
inline namespace abi1 {

/* A mutex that counts how often its owner has locked it, and is free after as many unlocks. Locking it again never
 * blocks. Everything else is as with `mutex`: it works with the locks of the standard library, on any thread, attached
 * or not, detaches an attached thread while it waits, is constant-initialized, and needs no destruction. After a fork,
 * the forking thread still owns in the child what it owned before. */
class recursive_mutex {
  public:
    constexpr recursive_mutex() noexcept = default;
    recursive_mutex(const recursive_mutex &) = delete;
    recursive_mutex &operator=(const recursive_mutex &) = delete;

    /* As mutex::lock. */
    void lock() noexcept PYATTACH_NO_ANALYSIS {
        if (is_own())
            ++depth_;
        else {
            mutex_.lock();
            own();
        }
    }
    /* Locks the mutex if it is free, or locked by this thread. False: another thread owns it. Does not block. */
    [[nodiscard]] bool try_lock() noexcept PYATTACH_NO_ANALYSIS { return own_if(is_own() || mutex_.try_lock()); }
#if defined(__cpp_exceptions)
    /* As mutex::try_lock_for and mutex::try_lock_until. */
    template <class Rep, class Period>
    [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period> &time) PYATTACH_NO_ANALYSIS {
        return own_if(is_own() || mutex_.try_lock_for(time));
    }
    template <class Clock, class Duration>
    [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration> &until) PYATTACH_NO_ANALYSIS {
        return own_if(is_own() || mutex_.try_lock_until(until));
    }
#endif
    template <class Rep, class Period> [[nodiscard]] pyattach_status
    try_lock_for(std::nothrow_t, const std::chrono::duration<Rep, Period> &time) PYATTACH_NO_ANALYSIS {
        return own_if_ok(is_own() ? PYATTACH_OK : mutex_.try_lock_for(std::nothrow, time));
    }
    template <class Clock, class Duration> [[nodiscard]] pyattach_status
    try_lock_until(std::nothrow_t, const std::chrono::time_point<Clock, Duration> &until) PYATTACH_NO_ANALYSIS {
        return own_if_ok(is_own() ? PYATTACH_OK : mutex_.try_lock_until(std::nothrow, until));
    }
    /* Undoes one lock. Aborts if this thread does not own the mutex. */
    void unlock() noexcept PYATTACH_NO_ANALYSIS {
        if (!is_own())
            detail::misuse("recursive_mutex::unlock: this thread does not own the mutex.",
                           "Only the thread that locked a recursive mutex unlocks it.",
                           "Pair each lock with one unlock on the same thread.");
        if (--depth_ != 0)
            return;
        owner_.store(pthread_t{}, std::memory_order_relaxed);
        mutex_.unlock();
    }

    /* Whether some thread owns the mutex. The answer may be out of date as soon as it is returned. */
    bool is_locked() const noexcept { return mutex_.is_locked(); }

  private:
    /* Only the owner stores its own number, so a relaxed load that finds it is right. */
    bool is_own() const noexcept { return owner_.load(std::memory_order_relaxed) == pthread_self(); }
    void own() noexcept {
        owner_.store(pthread_self(), std::memory_order_relaxed);
        ++depth_;
    }
    bool own_if(bool is_locked) noexcept {
        if (is_locked)
            own();
        return is_locked;
    }
    pyattach_status own_if_ok(pyattach_status status) noexcept {
        own_if(status == PYATTACH_OK);
        return status;
    }

    mutex mutex_;
    std::atomic<pthread_t> owner_{};
    std::size_t depth_ = 0; /* only the owner reads and writes it */
};

} // namespace abi1
} // namespace pyattach
#endif
