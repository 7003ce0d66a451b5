/* Waiting: for threads, conditions and futures of the standard library, without keeping other threads out of Python. */
#ifndef PYATTACH_WAITING_HPP
#define PYATTACH_WAITING_HPP

#include "detail/cpp17.hpp"

#include <chrono>
#include <future>
#include <new>
#include <type_traits>

#include "detail/waits.hpp"
#include "locking.hpp"
#include "token.hpp"

namespace pyattach {
inline namespace abi1 {

/* For all functions here: they wait in a detached scope. Those that end in _for and _until give up after a time, or at
 * a time point of any clock. Without a token, the thread may be attached or not; if it is not, it waits as it is.
 *
 * On Python's main thread the handlers of signals run during a wait, ten times a second, if what is waited for has a
 * wait until a time. A handler that raises an exception, as that of Ctrl-C does, ends the wait. No handler runs if an
 * exception is pending when the wait begins.
 *
 * The nothrow overloads return a status:
 *
 * PYATTACH_OK: what was waited for has come, and the thread is attached again, if it was before.
 * PYATTACH_TIMED_OUT: the time is over, and the thread is attached again.
 * PYATTACH_PYTHON_ERROR: a handler raised an exception, which is pending.
 * PYATTACH_FINALIZING: the interpreter ended meanwhile, and the thread is not attached.
 * PYATTACH_UNSUPPORTED: as pyattach_detached_begin and pyattach_detached_end.
 * Any other status: detaching was refused, and nothing was waited for (see pyattach_detached_begin).
 *
 * The throwing overloads throw python_error and error instead, but not for PYATTACH_TIMED_OUT. */

/* Joins a thread (any object with join()) in a detached scope, because that thread may need Python to end. The
 * functions with a time return whether the thread is joined. They work with a std::thread, where the system can wait so
 * (on Linux), and with any object that has try_join_for(std::chrono::nanoseconds). May block, and may run Python code
 * when the thread attaches again: destructors of references in the pool, and signal handlers.
 *
 * A thread for which the wait was ended is still joinable. The destructor of a joinable std::thread ends the process,
 * so who lets the exception of Ctrl-C pass has to see to it that the thread ends and is joined. With
 * PYATTACH_FINALIZING joinable() tells whether it was joined. */
#if defined(__cpp_exceptions)
template <class Thread> void join_detached(token py, Thread &thread) {
    detail::has_come_in_time(detail::join(py, thread, detail::no_deadline()));
}
template <class Thread> void join_detached(Thread &thread) {
    detail::has_come_in_time(detail::join(detail::anywhere(), thread, detail::no_deadline()));
}
template <class Thread, class Rep, class Period>
[[nodiscard]] bool join_detached_for(token py, Thread &thread, const std::chrono::duration<Rep, Period> &time) {
    return detail::has_come_in_time(detail::join(py, thread, detail::deadline_after(time)));
}
template <class Thread, class Rep, class Period>
[[nodiscard]] bool join_detached_for(Thread &thread, const std::chrono::duration<Rep, Period> &time) {
    return detail::has_come_in_time(detail::join(detail::anywhere(), thread, detail::deadline_after(time)));
}
template <class Thread, class Clock, class Duration> [[nodiscard]] bool
join_detached_until(token py, Thread &thread, const std::chrono::time_point<Clock, Duration> &until) {
    return detail::has_come_in_time(detail::join(py, thread, until));
}
template <class Thread, class Clock, class Duration>
[[nodiscard]] bool join_detached_until(Thread &thread, const std::chrono::time_point<Clock, Duration> &until) {
    return detail::has_come_in_time(detail::join(detail::anywhere(), thread, until));
}
#endif
template <class Thread> [[nodiscard]] pyattach_status join_detached(std::nothrow_t, token py, Thread &thread) {
    return detail::join(py, thread, detail::no_deadline());
}
template <class Thread> [[nodiscard]] pyattach_status join_detached(std::nothrow_t, Thread &thread) {
    return detail::join(detail::anywhere(), thread, detail::no_deadline());
}
template <class Thread, class Rep, class Period> [[nodiscard]] pyattach_status
join_detached_for(std::nothrow_t, token py, Thread &thread, const std::chrono::duration<Rep, Period> &time) {
    return detail::join(py, thread, detail::deadline_after(time));
}
template <class Thread, class Rep, class Period> [[nodiscard]] pyattach_status
join_detached_for(std::nothrow_t, Thread &thread, const std::chrono::duration<Rep, Period> &time) {
    return detail::join(detail::anywhere(), thread, detail::deadline_after(time));
}
template <class Thread, class Clock, class Duration> [[nodiscard]] pyattach_status
join_detached_until(std::nothrow_t, token py, Thread &thread, const std::chrono::time_point<Clock, Duration> &until) {
    return detail::join(py, thread, until);
}
template <class Thread, class Clock, class Duration> [[nodiscard]] pyattach_status
join_detached_until(std::nothrow_t, Thread &thread, const std::chrono::time_point<Clock, Duration> &until) {
    return detail::join(detail::anywhere(), thread, until);
}

/* Waits until `condition()` is true, as changed.wait(held, condition) does: returns at once if it is true already, else
 * waits in a detached scope. So `condition` must not use Python. The functions with a time return what `condition()`
 * returned last, as those of std::condition_variable. May block, and may run signal handlers.
 *
 * `held` is locked where the condition is true or the time is over, and where detaching was refused. It was unlocked
 * where a handler raised an exception or the interpreter ended. Handlers run while it is unlocked. */
#if defined(__cpp_exceptions)
template <class Changed, class Lock, class Condition>
void wait_detached(token py, Changed &changed, Lock &held, Condition condition) {
    detail::has_come_in_time(detail::wait_for_condition(py, changed, held, condition, detail::no_deadline()));
}
template <class Changed, class Lock, class Condition,
          class = std::enable_if_t<std::is_invocable_r_v<bool, Condition &>>>
void wait_detached(Changed &changed, Lock &held, Condition condition) {
    detail::has_come_in_time(
        detail::wait_for_condition(detail::anywhere(), changed, held, condition, detail::no_deadline()));
}
template <class Changed, class Lock, class Rep, class Period, class Condition>
bool wait_detached_for(token py, Changed &changed, Lock &held, const std::chrono::duration<Rep, Period> &time,
                       Condition condition) {
    return detail::has_come_in_time(
        detail::wait_for_condition(py, changed, held, condition, detail::deadline_after(time)));
}
template <class Changed, class Lock, class Rep, class Period, class Condition> bool
wait_detached_for(Changed &changed, Lock &held, const std::chrono::duration<Rep, Period> &time, Condition condition) {
    return detail::has_come_in_time(
        detail::wait_for_condition(detail::anywhere(), changed, held, condition, detail::deadline_after(time)));
}
template <class Changed, class Lock, class Clock, class Duration, class Condition>
bool wait_detached_until(token py, Changed &changed, Lock &held, const std::chrono::time_point<Clock, Duration> &until,
                         Condition condition) {
    return detail::has_come_in_time(detail::wait_for_condition(py, changed, held, condition, until));
}
template <class Changed, class Lock, class Clock, class Duration, class Condition>
bool wait_detached_until(Changed &changed, Lock &held, const std::chrono::time_point<Clock, Duration> &until,
                         Condition condition) {
    return detail::has_come_in_time(detail::wait_for_condition(detail::anywhere(), changed, held, condition, until));
}
#endif
template <class Changed, class Lock, class Condition> [[nodiscard]] pyattach_status
wait_detached(std::nothrow_t, token py, Changed &changed, Lock &held, Condition condition) {
    return detail::wait_for_condition(py, changed, held, condition, detail::no_deadline());
}
template <class Changed, class Lock, class Condition>
[[nodiscard]] pyattach_status wait_detached(std::nothrow_t, Changed &changed, Lock &held, Condition condition) {
    return detail::wait_for_condition(detail::anywhere(), changed, held, condition, detail::no_deadline());
}
template <class Changed, class Lock, class Rep, class Period, class Condition>
[[nodiscard]] pyattach_status wait_detached_for(std::nothrow_t, token py, Changed &changed, Lock &held,
                                                const std::chrono::duration<Rep, Period> &time, Condition condition) {
    return detail::wait_for_condition(py, changed, held, condition, detail::deadline_after(time));
}
template <class Changed, class Lock, class Rep, class Period, class Condition>
[[nodiscard]] pyattach_status wait_detached_for(std::nothrow_t, Changed &changed, Lock &held,
                                                const std::chrono::duration<Rep, Period> &time, Condition condition) {
    return detail::wait_for_condition(detail::anywhere(), changed, held, condition, detail::deadline_after(time));
}
template <class Changed, class Lock, class Clock, class Duration, class Condition>
[[nodiscard]] pyattach_status wait_detached_until(std::nothrow_t, token py, Changed &changed, Lock &held,
                                                  const std::chrono::time_point<Clock, Duration> &until,
                                                  Condition condition) {
    return detail::wait_for_condition(py, changed, held, condition, until);
}
template <class Changed, class Lock, class Clock, class Duration, class Condition>
[[nodiscard]] pyattach_status wait_detached_until(std::nothrow_t, Changed &changed, Lock &held,
                                                  const std::chrono::time_point<Clock, Duration> &until,
                                                  Condition condition) {
    return detail::wait_for_condition(detail::anywhere(), changed, held, condition, until);
}

/* Waits until a future is ready: a std::future, a std::shared_future, or any object with wait(). Returns at once if it
 * is ready already. The functions with a time need wait_until, and return what that returns. They do not run a deferred
 * function; wait_detached runs it, detached. The nothrow overloads return PYATTACH_INVALID for std::future_status::
 * deferred. May block, and may run Python code when the thread attaches again: destructors of references in the pool,
 * and signal handlers. */
#if defined(__cpp_exceptions)
template <class Future> void wait_detached(token py, const Future &future) {
    detail::has_come_in_time(detail::wait_for_future(py, future, detail::no_deadline()));
}
template <class Future> void wait_detached(const Future &future) {
    detail::has_come_in_time(detail::wait_for_future(detail::anywhere(), future, detail::no_deadline()));
}
template <class Future, class Rep, class Period>
std::future_status wait_detached_for(token py, const Future &future, const std::chrono::duration<Rep, Period> &time) {
    return detail::wait_for_status(py, future, detail::deadline_after(time));
}
template <class Future, class Rep, class Period>
std::future_status wait_detached_for(const Future &future, const std::chrono::duration<Rep, Period> &time) {
    return detail::wait_for_status(detail::anywhere(), future, detail::deadline_after(time));
}
template <class Future, class Clock, class Duration> std::future_status
wait_detached_until(token py, const Future &future, const std::chrono::time_point<Clock, Duration> &until) {
    return detail::wait_for_status(py, future, until);
}
template <class Future, class Clock, class Duration>
std::future_status wait_detached_until(const Future &future, const std::chrono::time_point<Clock, Duration> &until) {
    return detail::wait_for_status(detail::anywhere(), future, until);
}
#endif
template <class Future> [[nodiscard]] pyattach_status wait_detached(std::nothrow_t, token py, const Future &future) {
    return detail::wait_for_future(py, future, detail::no_deadline());
}
template <class Future> [[nodiscard]] pyattach_status wait_detached(std::nothrow_t, const Future &future) {
    return detail::wait_for_future(detail::anywhere(), future, detail::no_deadline());
}
template <class Future, class Rep, class Period> [[nodiscard]] pyattach_status
wait_detached_for(std::nothrow_t, token py, const Future &future, const std::chrono::duration<Rep, Period> &time) {
    return detail::wait_for_future(py, future, detail::deadline_after(time));
}
template <class Future, class Rep, class Period> [[nodiscard]] pyattach_status
wait_detached_for(std::nothrow_t, const Future &future, const std::chrono::duration<Rep, Period> &time) {
    return detail::wait_for_future(detail::anywhere(), future, detail::deadline_after(time));
}
template <class Future, class Clock, class Duration>
[[nodiscard]] pyattach_status wait_detached_until(std::nothrow_t, token py, const Future &future,
                                                  const std::chrono::time_point<Clock, Duration> &until) {
    return detail::wait_for_future(py, future, until);
}
template <class Future, class Clock, class Duration> [[nodiscard]] pyattach_status
wait_detached_until(std::nothrow_t, const Future &future, const std::chrono::time_point<Clock, Duration> &until) {
    return detail::wait_for_future(detail::anywhere(), future, until);
}

} // namespace abi1
} // namespace pyattach
#endif
