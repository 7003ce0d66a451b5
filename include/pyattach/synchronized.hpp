/* Synchronized: a value that can be reached only through the lock that protects it. */
#ifndef PYATTACH_SYNCHRONIZED_HPP
#define PYATTACH_SYNCHRONIZED_HPP

#include "detail/cpp17.hpp"

#include <type_traits>
#include <utility>

#include "detail/misuse.hpp"
#include "detail/stack_only.hpp"
#include "mutex.hpp"

namespace pyattach {
inline namespace abi1 {

/* A T with its own mutex. The guard unlocks it, so Clang's thread safety analysis does not apply:
 *
 *     synchronized<std::vector<int>> seen;
 *     seen.lock()->push_back(1);                               for one expression
 *     auto guard = seen.lock();  guard->clear();               for a block
 *     if (auto guard = seen.try_lock()) ...                    without waiting
 *     size_t n = seen.with([](auto &v) { return v.size(); });
 *
 * There is no poisoning: an exception under the lock unlocks the mutex, and the value stays accessible as it was left.
 * Exception safety is the responsibility of the code that changes the value, as with every lock of C++. A thread that
 * waits for the lock never keeps other threads out of Python (see mutex.h). */
template <class T> class synchronized {
  public:
    /* A lock on a synchronized. Neither copied nor moved, because a lock is released on the thread that took it. */
    class [[nodiscard]] guard : detail::stack_only {
      public:
        ~guard() PYATTACH_NO_ANALYSIS {
            if (owner_)
                owner_->mutex_.unlock();
        }
        /* False only after a try_lock that failed. */
        explicit operator bool() const noexcept { return owner_ != nullptr; }
        /* The value. Unless NDEBUG is defined, aborts if the guard holds no lock. */
        T &operator*() const noexcept PYATTACH_LIFETIME_BOUND {
#if !defined(NDEBUG)
            if (!owner_)
                detail::misuse("synchronized: this guard holds no lock.",
                               "A value is reached through its lock, and try_lock did not get it.",
                               "Ask `if (guard)` first.");
#endif
            return owner_->value_;
        }
        T *operator->() const noexcept PYATTACH_LIFETIME_BOUND { return &**this; }

      private:
        friend class synchronized;
        explicit guard(synchronized *owner) noexcept : owner_(owner) {}
        synchronized *owner_;
    };

    /* Constructs the value from the arguments. */
    template <class... Arguments, class = std::enable_if_t<std::is_constructible_v<T, Arguments...>>>
    explicit constexpr synchronized(Arguments &&...arguments) noexcept(std::is_nothrow_constructible_v<T, Arguments...>)
        : value_(std::forward<Arguments>(arguments)...) {}
    synchronized(const synchronized &) = delete;
    synchronized &operator=(const synchronized &) = delete;

    /* Locks. May block; an attached thread is detached while it waits. */
    guard lock() noexcept PYATTACH_LIFETIME_BOUND PYATTACH_NO_ANALYSIS {
        mutex_.lock();
        return guard(this);
    }
    /* Locks if the mutex is free; else the guard is false. Does not block. */
    guard try_lock() noexcept PYATTACH_LIFETIME_BOUND { return guard(mutex_.try_lock() ? this : nullptr); }
    /* Whether some thread holds the lock. The answer may be out of date as soon as it is returned. */
    bool is_locked() const noexcept { return mutex_.is_locked(); }

    /* Calls `function(value)` under the lock and returns its result. May block, as lock(). */
    template <class Function> decltype(auto) with(Function &&function) {
        guard held = lock();
        return std::forward<Function>(function)(*held);
    }

  private:
    template <class> friend class entered;
    mutex mutex_;
    T value_;
};

} // namespace abi1
} // namespace pyattach
#endif
