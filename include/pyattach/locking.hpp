/* Locking: mutexes of the standard library, one or several, without keeping other threads out of Python. */
#ifndef PYATTACH_LOCKING_HPP
#define PYATTACH_LOCKING_HPP

#include "detail/cpp17.hpp"

#include <chrono>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <tuple>
#include <type_traits>
#include <utility>

#include "detail/locks_wait.hpp"
#include "token.hpp"

namespace pyattach {
inline namespace abi1 {

/* These functions lock any mutex that has try_lock (or try_lock_shared): at once if it is free, else after a wait in a
 * detached scope. (An attached thread that locks such a mutex directly may deadlock, because the owner of the mutex may
 * be waiting for Python. pyattach::mutex detaches by itself.) May block. While the thread attaches again with the lock
 * held, no references are released from the pool.
 *
 * The result is a std::unique_lock or a std::shared_lock. The functions that end in _for and _until give up after a
 * time, or at a time point of any clock: owns_lock() of the result is false then. They work with std::mutex,
 * std::recursive_mutex and std::shared_mutex, where the system can wait so (not on macOS), and with every mutex that
 * has try_lock_until.
 *
 * Without a token, the thread may be attached or not. If it is not, it waits as it is.
 *
 * On Python's main thread the handlers of signals run during a wait, ten times a second, if the mutex can be waited for
 * until a time. One that raises an exception, as that of Ctrl-C does, ends the wait. No handler runs if an exception is
 * pending when the wait begins.
 *
 * Throws python_error with the exception of a handler. Throws error with PYATTACH_FINALIZING if the interpreter ended
 * meanwhile: then the thread is not attached. Throws error if detaching is refused (see pyattach_detached_begin).
 * Whatever is thrown, nothing is locked. */
#if defined(__cpp_exceptions)
template <class Mutex> [[nodiscard]] std::unique_lock<Mutex> lock_detached(token py, Mutex &mutex) {
    return detail::lock_or_throw<std::unique_lock>(py, mutex, detail::no_deadline());
}
template <class Mutex, class = std::enable_if_t<detail::is_mutex<Mutex>>>
[[nodiscard]] std::unique_lock<Mutex> lock_detached(Mutex &mutex) {
    return detail::lock_or_throw<std::unique_lock>(detail::anywhere(), mutex, detail::no_deadline());
}
template <class Mutex, class Rep, class Period> [[nodiscard]] std::unique_lock<Mutex>
lock_detached_for(token py, Mutex &mutex, const std::chrono::duration<Rep, Period> &time) {
    return detail::lock_or_throw<std::unique_lock>(py, mutex, detail::deadline_after(time));
}
template <class Mutex, class Rep, class Period>
[[nodiscard]] std::unique_lock<Mutex> lock_detached_for(Mutex &mutex, const std::chrono::duration<Rep, Period> &time) {
    return detail::lock_or_throw<std::unique_lock>(detail::anywhere(), mutex, detail::deadline_after(time));
}
template <class Mutex, class Clock, class Duration> [[nodiscard]] std::unique_lock<Mutex>
lock_detached_until(token py, Mutex &mutex, const std::chrono::time_point<Clock, Duration> &until) {
    return detail::lock_or_throw<std::unique_lock>(py, mutex, until);
}
template <class Mutex, class Clock, class Duration> [[nodiscard]] std::unique_lock<Mutex>
lock_detached_until(Mutex &mutex, const std::chrono::time_point<Clock, Duration> &until) {
    return detail::lock_or_throw<std::unique_lock>(detail::anywhere(), mutex, until);
}

/* The same for a shared lock. */
template <class Mutex> [[nodiscard]] std::shared_lock<Mutex> lock_shared_detached(token py, Mutex &mutex) {
    return detail::lock_or_throw<std::shared_lock>(py, mutex, detail::no_deadline());
}
template <class Mutex> [[nodiscard]] std::shared_lock<Mutex> lock_shared_detached(Mutex &mutex) {
    return detail::lock_or_throw<std::shared_lock>(detail::anywhere(), mutex, detail::no_deadline());
}
template <class Mutex, class Rep, class Period> [[nodiscard]] std::shared_lock<Mutex>
lock_shared_detached_for(token py, Mutex &mutex, const std::chrono::duration<Rep, Period> &time) {
    return detail::lock_or_throw<std::shared_lock>(py, mutex, detail::deadline_after(time));
}
template <class Mutex, class Rep, class Period> [[nodiscard]] std::shared_lock<Mutex>
lock_shared_detached_for(Mutex &mutex, const std::chrono::duration<Rep, Period> &time) {
    return detail::lock_or_throw<std::shared_lock>(detail::anywhere(), mutex, detail::deadline_after(time));
}
template <class Mutex, class Clock, class Duration> [[nodiscard]] std::shared_lock<Mutex>
lock_shared_detached_until(token py, Mutex &mutex, const std::chrono::time_point<Clock, Duration> &until) {
    return detail::lock_or_throw<std::shared_lock>(py, mutex, until);
}
template <class Mutex, class Clock, class Duration> [[nodiscard]] std::shared_lock<Mutex>
lock_shared_detached_until(Mutex &mutex, const std::chrono::time_point<Clock, Duration> &until) {
    return detail::lock_or_throw<std::shared_lock>(detail::anywhere(), mutex, until);
}

/* Locks several mutexes, of the same or of different types, and returns a tuple of locks: all are locked, or none. It
 * cannot deadlock with another thread that locks some of them so, or with std::lock or std::scoped_lock, in whatever
 * order, because a thread that waits for one of them holds none of the others. */
template <class First, class Second, class... More> [[nodiscard]] detail::unique_locks<First, Second, More...>
lock_detached(token py, First &first, Second &second, More &...more) {
    return detail::lock_all_or_throw(py, first, second, more...);
}
template <class First, class Second, class... More, class = std::enable_if_t<detail::is_mutex<First>>>
[[nodiscard]] detail::unique_locks<First, Second, More...> lock_detached(First &first, Second &second, More &...more) {
    return detail::lock_all_or_throw(detail::anywhere(), first, second, more...);
}
#endif

/* The nothrow overloads of the functions without a time: owns_lock() of the results is false where the others throw. An
 * exception that a handler raised stays pending. */
template <class Mutex> [[nodiscard]] std::unique_lock<Mutex> lock_detached(std::nothrow_t, token py, Mutex &mutex) {
    return detail::lock_one<std::unique_lock>(py, mutex, detail::no_deadline()).lock;
}
template <class Mutex, class = std::enable_if_t<detail::is_mutex<Mutex>>>
[[nodiscard]] std::unique_lock<Mutex> lock_detached(std::nothrow_t, Mutex &mutex) {
    return detail::lock_one<std::unique_lock>(detail::anywhere(), mutex, detail::no_deadline()).lock;
}
template <class Mutex>
[[nodiscard]] std::shared_lock<Mutex> lock_shared_detached(std::nothrow_t, token py, Mutex &mutex) {
    return detail::lock_one<std::shared_lock>(py, mutex, detail::no_deadline()).lock;
}
template <class Mutex> [[nodiscard]] std::shared_lock<Mutex> lock_shared_detached(std::nothrow_t, Mutex &mutex) {
    return detail::lock_one<std::shared_lock>(detail::anywhere(), mutex, detail::no_deadline()).lock;
}
template <class First, class Second, class... More> [[nodiscard]] detail::unique_locks<First, Second, More...>
lock_detached(std::nothrow_t, token py, First &first, Second &second, More &...more) {
    return detail::lock_all(py, first, second, more...).lock;
}
template <class First, class Second, class... More, class = std::enable_if_t<detail::is_mutex<First>>>
[[nodiscard]] detail::unique_locks<First, Second, More...> lock_detached(std::nothrow_t, First &first, Second &second,
                                                                         More &...more) {
    return detail::lock_all(detail::anywhere(), first, second, more...).lock;
}

/* The nothrow overloads of the functions with a time return a lock_outcome: the lock and a status, because a caller has
 * to know whether the thread is still attached.
 *
 * PYATTACH_OK: `lock` owns the mutex. With any other status it does not.
 * PYATTACH_TIMED_OUT: the time is over.
 * PYATTACH_PYTHON_ERROR: a handler raised an exception, which is pending.
 * PYATTACH_FINALIZING: the interpreter ended meanwhile, and the thread is not attached.
 * Any other status: as pyattach_detached_begin and pyattach_detached_end. */
template <class Mutex, class Rep, class Period> [[nodiscard]] lock_outcome<std::unique_lock<Mutex>>
lock_detached_for(std::nothrow_t, token py, Mutex &mutex, const std::chrono::duration<Rep, Period> &time) {
    return detail::lock_one<std::unique_lock>(py, mutex, detail::deadline_after(time));
}
template <class Mutex, class Rep, class Period> [[nodiscard]] lock_outcome<std::unique_lock<Mutex>>
lock_detached_for(std::nothrow_t, Mutex &mutex, const std::chrono::duration<Rep, Period> &time) {
    return detail::lock_one<std::unique_lock>(detail::anywhere(), mutex, detail::deadline_after(time));
}
template <class Mutex, class Clock, class Duration> [[nodiscard]] lock_outcome<std::unique_lock<Mutex>>
lock_detached_until(std::nothrow_t, token py, Mutex &mutex, const std::chrono::time_point<Clock, Duration> &until) {
    return detail::lock_one<std::unique_lock>(py, mutex, until);
}
template <class Mutex, class Clock, class Duration> [[nodiscard]] lock_outcome<std::unique_lock<Mutex>>
lock_detached_until(std::nothrow_t, Mutex &mutex, const std::chrono::time_point<Clock, Duration> &until) {
    return detail::lock_one<std::unique_lock>(detail::anywhere(), mutex, until);
}
template <class Mutex, class Rep, class Period> [[nodiscard]] lock_outcome<std::shared_lock<Mutex>>
lock_shared_detached_for(std::nothrow_t, token py, Mutex &mutex, const std::chrono::duration<Rep, Period> &time) {
    return detail::lock_one<std::shared_lock>(py, mutex, detail::deadline_after(time));
}
template <class Mutex, class Rep, class Period> [[nodiscard]] lock_outcome<std::shared_lock<Mutex>>
lock_shared_detached_for(std::nothrow_t, Mutex &mutex, const std::chrono::duration<Rep, Period> &time) {
    return detail::lock_one<std::shared_lock>(detail::anywhere(), mutex, detail::deadline_after(time));
}
template <class Mutex, class Clock, class Duration> [[nodiscard]] lock_outcome<std::shared_lock<Mutex>>
lock_shared_detached_until(std::nothrow_t, token py, Mutex &mutex,
                           const std::chrono::time_point<Clock, Duration> &until) {
    return detail::lock_one<std::shared_lock>(py, mutex, until);
}
template <class Mutex, class Clock, class Duration> [[nodiscard]] lock_outcome<std::shared_lock<Mutex>>
lock_shared_detached_until(std::nothrow_t, Mutex &mutex, const std::chrono::time_point<Clock, Duration> &until) {
    return detail::lock_one<std::shared_lock>(detail::anywhere(), mutex, until);
}

} // namespace abi1
} // namespace pyattach
#endif
