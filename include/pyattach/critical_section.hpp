/* Critical section: CPython's per-object lock of the free-threaded build, for the life of a block. */
#ifndef PYATTACH_CRITICAL_SECTION_HPP
#define PYATTACH_CRITICAL_SECTION_HPP

#include "detail/cpp17.hpp"

#include <new>
#include <utility>

#include "critical_section.h"
#include "detail/stack_only.hpp"
#include "error.hpp"
#include "mutex.hpp"
#include "owned.hpp"
#include "token.hpp"

namespace pyattach {
inline namespace abi1 {

/* What pyattach_critical_section_begin and its siblings do, for the life of a block:
 *
 *     critical_section here{py, list};          critical_section here{py, from, to};
 *     critical_section here{py, mutex};         critical_section here{py, first, second};
 *
 * With std::nothrow first, `if (here)` is false where the others throw error. Two locks are taken in an order that
 * cannot deadlock; the same one twice counts once. Sections end innermost first. Detaching suspends them (see
 * critical_section.h). */
class [[nodiscard]] PYATTACH_SCOPED_CAPABILITY critical_section : detail::stack_only {
  public:
#if defined(__cpp_exceptions)
    /* These throw error where the section is refused. */
    [[nodiscard]] critical_section(token py, object_arg one) : critical_section(std::nothrow, py, one) {
        detail::throw_unless_ok(status_);
    }
    [[nodiscard]] critical_section(token py, object_arg one, object_arg two)
        : critical_section(std::nothrow, py, one, two) {
        detail::throw_unless_ok(status_);
    }
    [[nodiscard]] critical_section(token py, mutex &one) PYATTACH_ACQUIRE(one)
        : critical_section(std::nothrow, py, one) {
        detail::throw_unless_ok(status_);
    }
    [[nodiscard]] critical_section(token py, mutex &one, mutex &two) PYATTACH_ACQUIRE(one, two)
        : critical_section(std::nothrow, py, one, two) {
        detail::throw_unless_ok(status_);
    }
#endif
    /* These do not: look at the section, or at status(). */
    [[nodiscard]] critical_section(std::nothrow_t, token, object_arg one) noexcept
        : status_(pyattach_critical_section_begin(&section_, one.get())) {}
    [[nodiscard]] critical_section(std::nothrow_t, token, object_arg one, object_arg two) noexcept
        : status_(pyattach_critical_section_begin2(&section_, one.get(), two.get())) {}
    [[nodiscard]] critical_section(std::nothrow_t, token, mutex &one) noexcept PYATTACH_ACQUIRE(one)
        : status_(pyattach_critical_section_begin_mutex(&section_, one.native_handle())) {}
    [[nodiscard]] critical_section(std::nothrow_t, token, mutex &one, mutex &two) noexcept PYATTACH_ACQUIRE(one, two)
        : status_(pyattach_critical_section_begin_mutex2(&section_, one.native_handle(), two.native_handle())) {}

    ~critical_section() PYATTACH_RELEASE() {
        if (status_ == PYATTACH_OK)
            pyattach_critical_section_end(&section_);
    }

    /* Whether the section was entered. */
    explicit operator bool() const noexcept { return status_ == PYATTACH_OK; }
    /* Why not. */
    pyattach_status status() const noexcept { return status_; }

  private:
    pyattach_critical_section section_;
    pyattach_status status_;
};

#if defined(__cpp_exceptions)

/* Calls `function` in a critical section and returns what it returns. */
template <class Function> decltype(auto) with_critical_section(token py, object_arg one, Function &&function) {
    critical_section here{py, one};
    return std::forward<Function>(function)();
}
template <class Function>
decltype(auto) with_critical_section(token py, object_arg one, object_arg two, Function &&function) {
    critical_section here{py, one, two};
    return std::forward<Function>(function)();
}
template <class Function> decltype(auto) with_critical_section(token py, mutex &one, Function &&function) {
    critical_section here{py, one};
    return std::forward<Function>(function)();
}
template <class Function> decltype(auto) with_critical_section(token py, mutex &one, mutex &two, Function &&function) {
    critical_section here{py, one, two};
    return std::forward<Function>(function)();
}

#endif

} // namespace abi1
} // namespace pyattach
#endif
