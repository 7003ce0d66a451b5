/* Timed lock: locks a mutex of any kind until a time, where that is possible. */
#ifndef PYATTACH_DETAIL_TIMED_LOCK_HPP
#define PYATTACH_DETAIL_TIMED_LOCK_HPP

#include "cpp17.hpp"

#include <cerrno>
#include <chrono>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <type_traits>
#include <utility>

#include "../base.h"
#include "deadline.hpp"
#include "native_wait.hpp"

namespace pyattach {
inline namespace abi1 {
namespace detail {

using any_time = std::chrono::steady_clock::time_point;

/* Whether the calling thread may lock it, or share it: no token, and no std::nothrow. */
template <class Mutex, class = void> inline constexpr bool is_mutex = false;
template <class Mutex> inline constexpr bool is_mutex<Mutex, decltype(void(std::declval<Mutex &>().try_lock()))> = true;

/* The ways in which a std::unique_lock or std::shared_lock can wait until a time. A pyattach::mutex reports a status,
 * since an exception that it throws could not be told apart. std::mutex and std::shared_mutex have no member functions
 * for it, but the system's locks in them have. */
template <class Lock, class = void> inline constexpr bool locks_nothrow_until = false;
template <class Mutex>
inline constexpr bool locks_nothrow_until<std::unique_lock<Mutex>, decltype(void(std::declval<Mutex &>().try_lock_until(
                                                                       std::nothrow, std::declval<any_time>())))> =
    true;

template <class Lock, class = void> inline constexpr bool locks_natively_until = false;
template <class Mutex> inline constexpr bool is_untimed_std = std::is_same_v<Mutex, std::mutex> ||
                                                              std::is_same_v<Mutex, std::recursive_mutex> ||
                                                              std::is_same_v<Mutex, std::shared_mutex>;
/* libstdc++ returns the system's lock in a std::shared_mutex as a void pointer. */
template <class Mutex> using native_type =
    std::conditional_t<std::is_same_v<Mutex, std::shared_mutex>, pthread_rwlock_t, pthread_mutex_t>;
template <class Mutex> auto native_of(Mutex &mutex)
    -> decltype(static_cast<native_type<Mutex> *>(mutex.native_handle())) {
    return static_cast<native_type<Mutex> *>(mutex.native_handle());
}
template <class Mutex> inline constexpr bool
    locks_natively_until<std::unique_lock<Mutex>, decltype(void(lock_native(native_of(std::declval<Mutex &>()), 0)))> =
        is_untimed_std<Mutex>;
template <class Mutex>
inline constexpr bool locks_natively_until<std::shared_lock<Mutex>,
                                           decltype(void(lock_native_shared(native_of(std::declval<Mutex &>()), 0)))> =
    is_untimed_std<Mutex>;

template <class Lock, class = void> inline constexpr bool locks_until = false;
template <class Mutex>
inline constexpr bool locks_until<std::unique_lock<Mutex>,
                                  decltype(void(std::declval<Mutex &>().try_lock_until(std::declval<any_time>())))> =
    true;
template <class Mutex>
inline constexpr bool locks_until<std::shared_lock<Mutex>, decltype(void(std::declval<Mutex &>().try_lock_shared_until(
                                                               std::declval<any_time>())))> = true;

template <class Lock> inline constexpr bool is_timed_lock =
    locks_nothrow_until<Lock> || locks_natively_until<Lock> || locks_until<Lock>;

template <class Mutex> int lock_native_as(const std::unique_lock<Mutex> &held, long long time_ns) {
    return lock_native(native_of(*held.mutex()), time_ns);
}
template <class Mutex> int lock_native_as(const std::shared_lock<Mutex> &held, long long time_ns) {
    return lock_native_shared(native_of(*held.mutex()), time_ns);
}

/* Locks, or returns false at the time, or somewhat earlier; the caller checks the time. The thread is not attached. */
template <class Lock, class Clock, class Duration>
bool lock_until(Lock &held, const std::chrono::time_point<Clock, Duration> &until) {
    if constexpr (locks_nothrow_until<Lock>) {
        if (held.mutex()->try_lock_until(std::nothrow, until) != PYATTACH_OK)
            return false;
        held = Lock(*held.mutex(), std::adopt_lock);
        return true;
    } else if constexpr (locks_natively_until<Lock>) {
        const int refused = lock_native_as(held, left_ns(until));
        if (refused == ETIMEDOUT || refused == EAGAIN)
            return false;
        if (refused)
            held.lock(); /* throws what the standard library throws for the same reason */
        else
            held = Lock(*held.mutex(), std::adopt_lock);
        return true;
    } else {
        static_assert(locks_until<Lock>, "this mutex cannot be waited for until a time: it has no try_lock_until");
        return held.try_lock_until(until);
    }
}
template <class Lock> bool lock_until(Lock &held, no_deadline) {
    held.lock();
    return true;
}

} // namespace detail
} // namespace abi1
} // namespace pyattach
#endif
