/* Mutex: a lock that detaches the thread while it waits. */
#ifndef PYATTACH_MUTEX_HPP
#define PYATTACH_MUTEX_HPP

#include "detail/cpp17.hpp"

#include "detail/annotations.hpp"
#include "detail/stack_only.hpp"
#include "mutex.h"

namespace pyattach {
inline namespace abi1 {

/* pyattach_mutex as a Lockable of C++: it works with std::lock_guard, std::unique_lock, std::scoped_lock and
 * std::condition_variable_any, on any thread, attached or not. It is constant-initialized and needs no destruction. It
 * is not recursive. What mutex.h says about parking and forks holds here. */
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
