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

/* A T with its own mutex, which the guard unlocks (so Clang's analysis has nothing to follow):
 *
 *     synchronized<std::vector<int>> seen;
 *     seen.lock()->push_back(1);                               for one expression
 *     auto guard = seen.lock();  guard->clear();               for a block
 *     if (auto guard = seen.try_lock()) ...                    without waiting
 *     size_t n = seen.with([](auto &v) { return v.size(); });
 *
 * There is no poisoning: an exception under the lock unlocks it, and the value stays as it was left and reachable.
 * Exception safety is the business of whoever changes the value, as with every lock of C++. As the mutex is taken
 * before the interpreter, waiting for it never keeps other threads out of Python. */
template <class T> class synchronized {
  public:
    /* A locked synchronized. Neither copied nor moved: a lock is given up on the thread that took it. */
    class [[nodiscard]] guard : detail::stack_only {
      public:
        ~guard() PYATTACH_NO_ANALYSIS {
            if (of_)
                of_->mutex_.unlock();
        }
        /* False only after a try_lock that failed. */
        explicit operator bool() const noexcept { return of_ != nullptr; }
        /* The value. Aborts if the guard holds no lock, unless NDEBUG is defined. */
        T &operator*() const noexcept PYATTACH_LIFETIME_BOUND {
#if !defined(NDEBUG)
            if (!of_)
                detail::misuse("synchronized: this guard holds no lock.",
                               "A value is reached through its lock, and try_lock did not get it.",
                               "Ask `if (guard)` first.");
#endif
            return of_->value_;
        }
        T *operator->() const noexcept PYATTACH_LIFETIME_BOUND { return &**this; }

      private:
        friend class synchronized;
        explicit guard(synchronized *of) noexcept : of_(of) {}
        synchronized *of_;
    };

    /* The value is made from the arguments. */
    template <class... Arguments, class = std::enable_if_t<std::is_constructible_v<T, Arguments...>>>
    explicit constexpr synchronized(Arguments &&...arguments) noexcept(std::is_nothrow_constructible_v<T, Arguments...>)
        : value_(std::forward<Arguments>(arguments)...) {}
    synchronized(const synchronized &) = delete;
    synchronized &operator=(const synchronized &) = delete;

    /* May block, detached if the thread was attached. */
    guard lock() noexcept PYATTACH_LIFETIME_BOUND PYATTACH_NO_ANALYSIS {
        mutex_.lock();
        return guard(this);
    }
    /* A guard that is false if the lock is taken. */
    guard try_lock() noexcept PYATTACH_LIFETIME_BOUND { return guard(mutex_.try_lock() ? this : nullptr); }
    /* Whether any thread holds it. A glance: it may be out of date at once. */
    bool is_locked() const noexcept { return mutex_.is_locked(); }

    /* Calls `function(value)` under the lock and returns what it returns. */
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
