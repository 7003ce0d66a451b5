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

/* What with_critical_section hands to its function for a synchronized<T>.
 * On builds with a GIL a section excludes other sections, and other attached threads as long as nobody detaches, but
 * not a thread that detached while it holds lock(). So protect one value in one of the two ways. */
template <class T> class entered {
  public:
    /* Not to be kept beyond a call that may detach: the section is suspended meanwhile, and others may change the
     * value. */
    T &get() const noexcept { return of_->value_; }

  private:
    template <class Of, class Function>
    friend decltype(auto) with_critical_section(token, synchronized<Of> &, Function &&);
    template <class One, class Two, class Function>
    friend decltype(auto) with_critical_section(token, synchronized<One> &, synchronized<Two> &, Function &&);

    explicit entered(synchronized<T> &of) noexcept : of_(&of) {}
    static mutex &mutex_of(synchronized<T> &of) noexcept { return of.mutex_; }

    synchronized<T> *of_;
};

#if defined(__cpp_exceptions)

/* Calls `function(entered<T>)` in a critical section on the value's mutex and returns what it returns. */
template <class T, class Function>
decltype(auto) with_critical_section(token py, synchronized<T> &one, Function &&function) {
    critical_section here{py, entered<T>::mutex_of(one)};
    return std::forward<Function>(function)(entered<T>(one));
}

/* Calls `function(entered<T>, std::optional<entered<U>>)` in a critical section on both. The optional is empty if both
 * are the same value: it is entered once, and two ways to write to it would be one too many. */
template <class T, class U, class Function>
decltype(auto) with_critical_section(token py, synchronized<T> &one, synchronized<U> &two, Function &&function) {
    mutex &first = entered<T>::mutex_of(one), &second = entered<U>::mutex_of(two);
    critical_section here{py, first, second};
    std::optional<entered<U>> other;
    if (&first != &second)
        other = entered<U>(two);
    return std::forward<Function>(function)(entered<T>(one), other);
}

#endif

} // namespace abi1
} // namespace pyattach
#endif
