/* Interruptible wait: waits detached, and on Python's main thread attaches ten times a second to run the handlers of
 * signals. */
#ifndef PYATTACH_DETAIL_INTERRUPTIBLE_WAIT_HPP
#define PYATTACH_DETAIL_INTERRUPTIBLE_WAIT_HPP

#include "cpp17.hpp"

#include <algorithm>
#include <chrono>
#include <new>

#include "../call.h"
#include "../detached.hpp"
#include "../forbidden.h"
#include "../python_error.hpp"
#include "../token.hpp"
#include "deadline.hpp"

namespace pyattach {
inline namespace abi1 {
namespace detail {

/* In place of a token: the thread may be attached or not. */
struct anywhere {};

/* What is waited for is a class with these members:
 *
 *     static constexpr bool is_timed;  whether it can be waited for until a time; else signals do not end the wait
 *     using drains;                    an object of this type exists while the thread is detached and attaches again
 *     void wait();                     returns when it has come
 *     bool wait_until(time_point);     the same; false: it has not come by then
 *     void pause();                    it has not come; the thread attaches, and handlers may run
 *     bool finish();                   it has not come, and the time is over; true: it has come just now
 *     void give_up();                  the thread could not be attached again, or a handler raised an exception */
template <class Wait> bool wait_plainly(Wait &wait, no_deadline) {
    wait.wait();
    return true;
}
template <class Wait, class Clock, class Duration>
bool wait_plainly(Wait &wait, const std::chrono::time_point<Clock, Duration> &until) {
    return wait.wait_until(until);
}

/* Waits until the time of the next handlers. `runs_handlers`: this is Python's main thread. Other threads wait as the
 * standard library does, at no further cost. */
template <class Wait, class Deadline> bool wait_slice(Wait &wait, const Deadline &until, bool runs_handlers) {
    if constexpr (Wait::is_timed) {
        if (runs_handlers) {
            constexpr long long interval_ns = 100000000;
            return wait.wait_until(steady_after(std::min(left_ns(until), interval_ns)));
        }
    }
    (void)runs_handlers;
    return wait_plainly(wait, until);
}

/* PYATTACH_OK: it has come. PYATTACH_TIMED_OUT: the time is over. PYATTACH_PYTHON_ERROR: a handler raised an exception,
 * which is pending. Other statuses: detaching was refused, or attaching again was. The thread is detached in slices,
 * and between them it holds nothing that it has waited for. */
template <class Wait, class Deadline> pyattach_status wait_for(token py, Wait &wait, const Deadline &until) {
    const bool runs_handlers = Wait::is_timed && pyattach_can_handle_signals();
    for (;;) {
        {
            [[maybe_unused]] typename Wait::drains drains;
            detached gap{std::nothrow, py};
            if (!gap)
                return gap.status();
            bool has_come = wait_slice(wait, until, runs_handlers);
            const bool is_late = !has_come && is_over(until);
            if (is_late)
                has_come = wait.finish();
            else if (!has_come)
                wait.pause();
            pyattach_status status = gap.resume();
            if (status != PYATTACH_OK) {
                wait.give_up(); /* other threads may still need it, and this thread unwinds */
                return status;
            }
            if (has_come || is_late)
                return has_come ? PYATTACH_OK : PYATTACH_TIMED_OUT;
        }
        if (runs_handlers && pyattach_check_signals() != PYATTACH_OK) {
            wait.give_up();
            return PYATTACH_PYTHON_ERROR;
        }
    }
}
/* The same on any thread. One that is not attached waits where it is. */
template <class Wait, class Deadline> pyattach_status wait_for(anywhere, Wait &wait, const Deadline &until) {
    if (pyattach_is_forbidden())
        return PYATTACH_FORBIDDEN;
    if (pyattach_is_attached())
        return wait_for(token::assume(), wait, until);
    while (!wait_plainly(wait, until))
        if (is_over(until))
            return wait.finish() ? PYATTACH_OK : PYATTACH_TIMED_OUT;
    return PYATTACH_OK;
}

#if defined(__cpp_exceptions)
/* Throws what a throwing overload throws for the status of a wait. False: the time is over. */
inline bool has_come_in_time(pyattach_status status) {
    if (status == PYATTACH_PYTHON_ERROR)
        throw python_error(token::assume());
    if (status != PYATTACH_TIMED_OUT)
        throw_unless_ok(status);
    return status == PYATTACH_OK;
}
#endif

} // namespace detail
} // namespace abi1
} // namespace pyattach
#endif
