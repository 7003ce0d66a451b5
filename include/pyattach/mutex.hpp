/* Mutex: a lock that detaches while it waits. */
#ifndef PYATTACH_MUTEX_HPP
#define PYATTACH_MUTEX_HPP

#include "detail/cpp17.hpp"

#include "detail/annotations.hpp"
#include "detail/stack_only.hpp"
#include "mutex.h"

namespace pyattach {
inline namespace abi1 {

/* pyattach_mutex as a Lockable of C++: works with std::lock_guard, std::unique_lock, std::scoped_lock and
 * std::condition_variable_any, on any thread. Constant-initialised, needs no destruction. Not recursive. An exception
 * thrown under it unlocks it like any other. */
class PYATTACH_CAPABILITY("mutex") mutex {
  public:
    constexpr mutex() noexcept : mutex_() {}
    mutex(const mutex &) = delete;
    mutex &operator=(const mutex &) = delete;

    /* May block, detached if the thread was attached. */
    void lock() noexcept PYATTACH_ACQUIRE() PYATTACH_NO_ANALYSIS { pyattach_mutex_lock(&mutex_); }
    /* False: it is locked, perhaps by this thread. */
    [[nodiscard]] bool try_lock() noexcept PYATTACH_TRY_ACQUIRE(true) PYATTACH_NO_ANALYSIS {
        return pyattach_mutex_try_lock(&mutex_) != 0;
    }
    /* Unlocking one that is not locked aborts. */
    void unlock() noexcept PYATTACH_RELEASE() PYATTACH_NO_ANALYSIS { pyattach_mutex_unlock(&mutex_); }

    /* Whether any thread holds it. A glance: it may be out of date at once. */
    bool is_locked() const noexcept { return pyattach_mutex_is_locked(&mutex_) != 0; }
    /* For C. */
    pyattach_mutex *native_handle() noexcept { return &mutex_; }

  private:
    mutable pyattach_mutex mutex_; /* asking whether it is locked changes nothing, but C takes no const */
};

/* Holds a mutex for the life of a block, as std::lock_guard does, and so that Clang's analysis sees it. */
class [[nodiscard]] PYATTACH_SCOPED_CAPABILITY locked : detail::stack_only {
  public:
    /* May block, detached if the thread was attached. */
    [[nodiscard]] explicit locked(mutex &held) noexcept PYATTACH_ACQUIRE(held) : held_(held) { held_.lock(); }
    ~locked() PYATTACH_RELEASE() { held_.unlock(); }

  private:
    mutex &held_;
};

} // namespace abi1
} // namespace pyattach
#endif
