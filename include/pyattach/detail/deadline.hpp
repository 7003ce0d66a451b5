/* Deadlines: durations and time points of std::chrono, of any unit and clock. */
#ifndef PYATTACH_DETAIL_DEADLINE_HPP
#define PYATTACH_DETAIL_DEADLINE_HPP

#include "cpp17.hpp"

#include <chrono>
#include <limits>

namespace pyattach {
inline namespace abi1 {
namespace detail {

/* The deadline of a wait without a limit. */
struct no_deadline {};

/* Nanoseconds, at least 0. More than 95 years count as no limit: so many fit into no int64 in other units. */
template <class Rep, class Period> long long timeout_ns(const std::chrono::duration<Rep, Period> &time) {
    if (time <= time.zero())
        return 0;
    if (std::chrono::duration<double>(time).count() > 3e9)
        return std::numeric_limits<long long>::max();
    return std::chrono::ceil<std::chrono::nanoseconds>(time).count();
}

/* The time left until a time point. */
template <class Clock, class Duration> long long left_ns(const std::chrono::time_point<Clock, Duration> &until) {
    const auto now = Clock::now();
    using seconds = std::chrono::duration<double>;
    if (seconds(until.time_since_epoch()) - seconds(now.time_since_epoch()) > seconds(3e9))
        return std::numeric_limits<long long>::max();
    return until <= now ? 0 : timeout_ns(until - now);
}
inline long long left_ns(no_deadline) noexcept { return std::numeric_limits<long long>::max(); }

/* Whether the time is over. */
template <class Deadline> bool is_over(const Deadline &until) { return left_ns(until) == 0; }

/* The steady time point after this time; the last one, if there is none. */
inline std::chrono::steady_clock::time_point steady_after(long long time_ns) {
    using std::chrono::steady_clock;
    if (time_ns == std::numeric_limits<long long>::max())
        return steady_clock::time_point::max();
    return steady_clock::now() + std::chrono::duration_cast<steady_clock::duration>(std::chrono::nanoseconds(time_ns));
}
template <class Rep, class Period>
std::chrono::steady_clock::time_point deadline_after(const std::chrono::duration<Rep, Period> &time) {
    return steady_after(timeout_ns(time));
}

} // namespace detail
} // namespace abi1
} // namespace pyattach
#endif
