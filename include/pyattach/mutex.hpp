/* Mutex: a lock that detaches the thread while it waits. */
#ifndef PYATTACH_MUTEX_HPP
#define PYATTACH_MUTEX_HPP

#include "detail/cpp17.hpp"

#include <chrono>
#include <new>

#include "detail/annotations.hpp"
#include "detail/deadline.hpp"
#include "detail/interruptible_wait.hpp"
#include "detail/stack_only.hpp"
#include "mutex.h"

namespace pyattach {
inline namespace abi1 {

/* pyattach_mutex as a TimedLockable of C++: it works with std::lock_guard, std::unique_lock, std::scoped_lock and
 * std::condition_variable_any, on any thread, attached or not. It is constant-initialized and needs no destruction. It
 * is not recursive (recursive_mutex is). What mutex.h says about parking and forks holds here. */
class PYATTACH_CAPABILITY("mutex") mutex {
  public:
    constexpr mutex() noexcept : mutex_() {}
    mutex(const mutex &) = delete;
    mutex &operator=(const mutex &) = delete;

    /* Locks the mutex. May block; an attached thread is detached while it waits. */
    void lock() noexcept PYATTACH_ACQUIRE() PYATTACH_NO_ANALYSIS { pyattach_mutex_lock(&mutex_); }
    /* Locks the mutex if it is free. False: it is locked, perhaps by this thread. Does not block. */
    [[nodiscard]] bool try_lock() noexcept PYATTACH_TRY_ACQUIRE(true) PYATTACH_NO_ANALYSIS {
        return pyattach_mutex_try_lock(&mutex_) != 0;
    }
#if defined(__cpp_exceptions)
    /* Locks the mutex, or gives up after the time or at the time point, of any clock: false. May block; an attached
     * thread is detached while it waits. On Python's main thread signal handlers run meanwhile. Throws python_error if
     * one raises an exception, as that of Ctrl-C does, and error with PYATTACH_FINALIZING if the interpreter ended: the
     * mutex is not locked then, and in the second case the thread is not attached (see pyattach_mutex_lock_for). */
    template <class Rep, class Period> [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period> &time)
        PYATTACH_TRY_ACQUIRE(true) PYATTACH_NO_ANALYSIS {
        return detail::has_come_in_time(try_lock_for(std::nothrow, time));
    }
    template <class Clock, class Duration>
    [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration> &until)
        PYATTACH_TRY_ACQUIRE(true) PYATTACH_NO_ANALYSIS {
        return detail::has_come_in_time(try_lock_until(std::nothrow, until));
    }
#endif
    /* The nothrow overloads return the status of pyattach_mutex_lock_for. An exception that a handler raised stays
     * pending. Clang's thread safety analysis does not understand a status, and so does not see that they lock. */
    template <class Rep, class Period> [[nodiscard]] pyattach_status
    try_lock_for(std::nothrow_t, const std::chrono::duration<Rep, Period> &time) PYATTACH_NO_ANALYSIS {
        return pyattach_mutex_lock_for(&mutex_, detail::timeout_ns(time));
    }
    template <class Clock, class Duration> [[nodiscard]] pyattach_status
    try_lock_until(std::nothrow_t, const std::chrono::time_point<Clock, Duration> &until) PYATTACH_NO_ANALYSIS {
        for (;;) {
            pyattach_status status = pyattach_mutex_lock_for(&mutex_, detail::left_ns(until));
            if (status != PYATTACH_TIMED_OUT || detail::is_over(until)) /* the clock may have been set back */
                return status;
        }
    }
    /* Unlocks the mutex. Aborts if it is not locked. */
    void unlock() noexcept PYATTACH_RELEASE() PYATTACH_NO_ANALYSIS { pyattach_mutex_unlock(&mutex_); }

    /* Whether some thread holds the mutex. The answer may be out of date as soon as it is returned. */
    bool is_locked() const noexcept { return pyattach_mutex_is_locked(&mutex_) != 0; }
    /* The mutex for functions of the C API. */
    pyattach_mutex *native_handle() noexcept { return &mutex_; }

  private:
    mutable pyattach_mutex mutex_; /* mutable, since is_locked() changes nothing but the C function takes no const */
};

/* Holds a mutex for the duration of a block, as std::lock_guard does, with the annotations of Clang's thread safety
 * analysis. */
class [[nodiscard]] PYATTACH_SCOPED_CAPABILITY locked : detail::stack_only {
  public:
    /* Locks the mutex. May block; an attached thread is detached while it waits. */
    [[nodiscard]] explicit locked(mutex &held) noexcept PYATTACH_ACQUIRE(held) : held_(held) { held_.lock(); }
    ~locked() PYATTACH_RELEASE() { held_.unlock(); }

  private:
    mutex &held_;
};

} // namespace abi1
} // namespace pyattach
#endif
