/* Native wait: what POSIX threads can wait for until a time, and std::mutex, std::shared_mutex and std::thread cannot.
 */
#ifndef PYATTACH_DETAIL_NATIVE_WAIT_HPP
#define PYATTACH_DETAIL_NATIVE_WAIT_HPP

#include "cpp17.hpp"

#include <algorithm>
#include <ctime>
#include <new>
#include <pthread.h>
#include <thread>
#include <unistd.h>

namespace pyattach {
inline namespace abi1 {
namespace detail {

/* With the monotonic clock, a wait does not last longer if the time of day is set back. glibc has it from 2.31 on.
 * ThreadSanitizer knows only the other functions. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PYATTACH_DETAIL_THREAD_SANITIZER
#endif
#endif
#if defined(__SANITIZE_THREAD__) && !defined(PYATTACH_DETAIL_THREAD_SANITIZER)
#define PYATTACH_DETAIL_THREAD_SANITIZER
#endif
#if defined(__GLIBC__) && defined(_GNU_SOURCE) && !defined(PYATTACH_DETAIL_THREAD_SANITIZER)
#if __GLIBC_PREREQ(2, 31)
#define PYATTACH_DETAIL_CLOCK_WAITS
#endif
#endif

/* The time of the clock that the functions below use, so many nanoseconds from now. At most a day: what is not over
 * then is waited for again. */
inline timespec native_time_after(long long time_ns) noexcept {
    constexpr long long second_ns = 1000000000, day_ns = 24LL * 3600 * second_ns;
    timespec time;
#if defined(PYATTACH_DETAIL_CLOCK_WAITS)
    clock_gettime(CLOCK_MONOTONIC, &time);
#else
    clock_gettime(CLOCK_REALTIME, &time);
#endif
    const long long ns = time.tv_nsec + std::min(time_ns, day_ns);
    time.tv_sec += static_cast<std::time_t>(ns / second_ns);
    time.tv_nsec = static_cast<long>(ns % second_ns);
    return time;
}

/* 0: locked. ETIMEDOUT: the time is over. Other numbers are errors of pthread_mutex_lock, pthread_rwlock_wrlock and
 * pthread_rwlock_rdlock. The functions exist where the system has them. */
#if defined(PYATTACH_DETAIL_CLOCK_WAITS)
inline int lock_native(pthread_mutex_t *mutex, long long time_ns) {
    const timespec until = native_time_after(time_ns);
    return pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until);
}
inline int lock_native(pthread_rwlock_t *mutex, long long time_ns) {
    const timespec until = native_time_after(time_ns);
    return pthread_rwlock_clockwrlock(mutex, CLOCK_MONOTONIC, &until);
}
inline int lock_native_shared(pthread_rwlock_t *mutex, long long time_ns) {
    const timespec until = native_time_after(time_ns);
    return pthread_rwlock_clockrdlock(mutex, CLOCK_MONOTONIC, &until);
}
#elif defined(_POSIX_TIMEOUTS) && _POSIX_TIMEOUTS > 0
inline int lock_native(pthread_mutex_t *mutex, long long time_ns) {
    const timespec until = native_time_after(time_ns);
    return pthread_mutex_timedlock(mutex, &until);
}
inline int lock_native(pthread_rwlock_t *mutex, long long time_ns) {
    const timespec until = native_time_after(time_ns);
    return pthread_rwlock_timedwrlock(mutex, &until);
}
inline int lock_native_shared(pthread_rwlock_t *mutex, long long time_ns) {
    const timespec until = native_time_after(time_ns);
    return pthread_rwlock_timedrdlock(mutex, &until);
}
#else
struct no_native_lock {};
inline int lock_native(no_native_lock, long long);
inline int lock_native_shared(no_native_lock, long long);
#endif

/* Joins a std::thread, and leaves it as join() does. False: the time is over, or the system cannot do so. A thread that
 * cannot be joined is left to join(), which throws. */
#if defined(__linux__) && defined(_GNU_SOURCE) && !defined(__ANDROID__)
constexpr bool can_join_until = true;
inline bool join_native(std::thread &thread, long long time_ns) {
    if (!thread.joinable() || thread.get_id() == std::this_thread::get_id()) {
        thread.join();
        return true;
    }
    const timespec until = native_time_after(time_ns);
#if defined(PYATTACH_DETAIL_CLOCK_WAITS)
    if (pthread_clockjoin_np(thread.native_handle(), nullptr, CLOCK_MONOTONIC, &until) != 0)
        return false;
#else
    if (pthread_timedjoin_np(thread.native_handle(), nullptr, &until) != 0)
        return false;
#endif
    /* The thread is joined, but the object does not know it, and its destructor would end the process. So the object is
     * made anew in the same place, without its destructor; it owns nothing but the number of the thread. */
    ::new (static_cast<void *>(&thread)) std::thread();
    return true;
}
#else
constexpr bool can_join_until = false;
inline bool join_native(std::thread &, long long) { return false; }
#endif

} // namespace detail
} // namespace abi1
} // namespace pyattach
#endif
