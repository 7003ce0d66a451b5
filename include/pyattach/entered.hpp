/* Entered: a synchronized value inside a critical section on its mutex. */
#ifndef PYATTACH_ENTERED_HPP
#define PYATTACH_ENTERED_HPP

#include "detail/cpp17.hpp"

#include <optional>
#include <utility>

#include "critical_section.hpp"
#include "synchronized.hpp"

namespace pyattach {
inline namespace abi1 {

/* The access to a synchronized<T> that with_critical_section passes to its function.
 *
 * On builds with a GIL a section excludes other sections, and other attached threads as long as the thread does not
 * detach, but it does not exclude a thread that detached while it holds lock(). So a value is protected by one of the
 * two: by its lock, or by sections. */
template <class T> class entered {
  public:
    /* The value. The reference must not be kept across a call that may detach: the section is suspended meanwhile, and
     * other threads may change the value. */
    T &get() const noexcept { return synchronized_->value_; }

  private:
    template <class Value, class Function>
    friend decltype(auto) with_critical_section(token py, synchronized<Value> &value, Function &&function);
    template <class First, class Second, class Function> friend decltype(auto)
    with_critical_section(token py, synchronized<First> &first, synchronized<Second> &second, Function &&function);

    explicit entered(synchronized<T> &value) noexcept : synchronized_(&value) {}
    static mutex &mutex_of(synchronized<T> &value) noexcept { return value.mutex_; }

    synchronized<T> *synchronized_;
};

#if defined(__cpp_exceptions)

/* Calls `function(entered<T>)` in a critical section on the mutex of `value` and returns its result. Throws error if
 * the section is refused. May block, detached, on free-threaded builds. */
template <class T, class Function>
decltype(auto) with_critical_section(token py, synchronized<T> &value, Function &&function) {
    critical_section here{py, entered<T>::mutex_of(value)};
    return std::forward<Function>(function)(entered<T>(value));
}

/* Calls `function(entered<T>, std::optional<entered<U>>)` in a critical section on both and returns its result. The
 * optional is empty if both are the same value, which is then accessible through the first only. */
template <class T, class U, class Function>
decltype(auto) with_critical_section(token py, synchronized<T> &first, synchronized<U> &second, Function &&function) {
    mutex &first_mutex = entered<T>::mutex_of(first), &second_mutex = entered<U>::mutex_of(second);
    critical_section here{py, first_mutex, second_mutex};
    std::optional<entered<U>> other;
    if (&first_mutex != &second_mutex)
        other = entered<U>(second);
    return std::forward<Function>(function)(entered<T>(first), other);
}

#endif

} // namespace abi1
} // namespace pyattach
#endif
