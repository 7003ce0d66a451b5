/* Waits: for the end of a thread, for a condition, and for a future. */
#ifndef PYATTACH_DETAIL_WAITS_HPP
#define PYATTACH_DETAIL_WAITS_HPP

#include "cpp17.hpp"

#include <chrono>
#include <functional>
#include <future>
#include <thread>
#include <type_traits>
#include <utility>

#include "interruptible_wait.hpp"
#include "no_drain_scope.hpp"
#include "timed_lock.hpp"

namespace pyattach {
inline namespace abi1 {
namespace detail {

/* When the thread attaches again, nothing is locked, so the pool may be drained. */
struct drains_allowed {};

template <class Thread, class = void> inline constexpr bool has_try_join = false;
template <class Thread> inline constexpr bool has_try_join<
    Thread, decltype(void(std::declval<Thread &>().try_join_for(std::declval<std::chrono::nanoseconds>())))> = true;

template <class Thread> class join_wait {
  public:
    static constexpr bool is_std = std::is_same_v<Thread, std::thread> && can_join_until;
    static constexpr bool is_timed = is_std || has_try_join<Thread>;
    using drains = drains_allowed;

    explicit join_wait(Thread &thread) noexcept : thread_(thread) {}
    void wait() { thread_.join(); }
    template <class Clock, class Duration> bool wait_until(const std::chrono::time_point<Clock, Duration> &until) {
        static_assert(is_timed, "this thread cannot be joined until a time: it has no try_join_for");
        if constexpr (is_std)
            return join_native(thread_, left_ns(until));
        else
            return thread_.try_join_for(std::chrono::nanoseconds(left_ns(until)));
    }
    void pause() noexcept {}
    bool finish() noexcept { return false; }
    void give_up() noexcept {}

  private:
    Thread &thread_;
};

template <class Changed, class Lock, class Condition, class = void> inline constexpr bool has_wait_until = false;
template <class Changed, class Lock, class Condition> inline constexpr bool
    has_wait_until<Changed, Lock, Condition,
                   decltype(void(std::declval<Changed &>().wait_until(std::declval<Lock &>(), std::declval<any_time>(),
                                                                      std::declval<Condition &>())))> = true;

template <class Changed, class Lock, class Condition> class condition_wait {
  public:
    static constexpr bool is_timed = has_wait_until<Changed, Lock, Condition>;
    using drains = no_drain_scope; /* a destructor that the attach runs would run under the lock */

    condition_wait(Changed &changed, Lock &held, Condition &condition) noexcept
        : changed_(changed), held_(held), condition_(condition) {}

    void wait() { changed_.wait(held_, std::ref(condition_)); }
    template <class Clock, class Duration> bool wait_until(const std::chrono::time_point<Clock, Duration> &until) {
        static_assert(is_timed, "this condition variable cannot be waited for until a time");
        return lock_again(until) && changed_.wait_until(held_, until, std::ref(condition_));
    }
    /* A handler must be free to take the lock, and so must the threads that change the condition. */
    void pause() {
        if (is_locked_)
            held_.unlock();
        is_locked_ = false;
    }
    bool finish() {
        if (is_locked_)
            return false;
        held_.lock();
        is_locked_ = true;
        return condition_();
    }
    void give_up() { pause(); }

  private:
    template <class Deadline> bool lock_again(const Deadline &until) {
        if constexpr (is_timed_lock<Lock>)
            is_locked_ = is_locked_ || lock_until(held_, until);
        else if (!is_locked_)
            held_.lock(), is_locked_ = true;
        return is_locked_;
    }

    Changed &changed_;
    Lock &held_;
    Condition &condition_;
    bool is_locked_ = true;
};

template <class Future, class = void> inline constexpr bool is_future = false;
template <class Future> inline constexpr bool is_future<
    Future, std::enable_if_t<std::is_same_v<
                decltype(std::declval<const Future &>().wait_until(std::declval<any_time>())), std::future_status>>> =
    true;

template <class Future> class future_wait {
  public:
    static constexpr bool is_timed = is_future<Future>;
    using drains = drains_allowed;

    explicit future_wait(const Future &future) noexcept : future_(future) {}
    bool is_ready() const {
        if constexpr (is_timed)
            return state() == std::future_status::ready;
        return false;
    }
    bool is_deferred() const {
        if constexpr (is_timed)
            return state() == std::future_status::deferred;
        return false;
    }
    void wait() { future_.wait(); }
    template <class Clock, class Duration> bool wait_until(const std::chrono::time_point<Clock, Duration> &until) {
        static_assert(is_timed, "this cannot be waited for until a time: it has no wait_until as std::future has");
        if (!is_deferred())
            return future_.wait_until(until) == std::future_status::ready;
        future_.wait(); /* runs the deferred function */
        return true;
    }
    void pause() noexcept {}
    bool finish() noexcept { return false; }
    void give_up() noexcept {}

  private:
    std::future_status state() const { return future_.wait_for(std::chrono::seconds(0)); }
    const Future &future_;
};

/* The statuses and results of the functions in waiting.hpp; `where` is a token, or `anywhere`. */
template <class Where, class Thread, class Deadline>
pyattach_status join(Where where, Thread &thread, const Deadline &until) {
    join_wait<Thread> wait(thread);
    return wait_for(where, wait, until);
}
template <class Where, class Changed, class Lock, class Condition, class Deadline> pyattach_status
wait_for_condition(Where where, Changed &changed, Lock &held, Condition &condition, const Deadline &until) {
    if (condition())
        return PYATTACH_OK;
    condition_wait<Changed, Lock, Condition> wait(changed, held, condition);
    return wait_for(where, wait, until);
}
template <class Where, class Future, class Deadline>
pyattach_status wait_for_future(Where where, const Future &future, const Deadline &until) {
    future_wait<Future> wait(future);
    if (wait.is_ready())
        return PYATTACH_OK;
    if (!std::is_same_v<Deadline, no_deadline> && wait.is_deferred())
        return PYATTACH_INVALID;
    return wait_for(where, wait, until);
}
#if defined(__cpp_exceptions)
template <class Where, class Future, class Deadline>
std::future_status wait_for_status(Where where, const Future &future, const Deadline &until) {
    pyattach_status status = wait_for_future(where, future, until);
    if (status == PYATTACH_INVALID)
        return std::future_status::deferred;
    return has_come_in_time(status) ? std::future_status::ready : std::future_status::timeout;
}
#endif

} // namespace detail
} // namespace abi1
} // namespace pyattach
#endif
