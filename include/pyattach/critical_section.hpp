/* Critical section: CPython's per-object lock of the free-threaded build, for the duration of a block. */
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

/* What pyattach_critical_section_begin and its variants do, for the duration of a block:
 *
 *     critical_section here{py, list};          critical_section here{py, from, to};
 *     critical_section here{py, mutex};         critical_section here{py, first, second};
 *
 * With std::nothrow as first argument, `if (here)` is false where the others throw error. Two locks are taken in an
 * order that cannot deadlock; the same one twice counts once. Sections end innermost first. Detaching suspends them
 * (see critical_section.h). The section borrows the objects and mutexes: the caller keeps them alive. May block,
 * detached, on free-threaded builds. */
class [[nodiscard]] PYATTACH_SCOPED_CAPABILITY critical_section : detail::stack_only {
  public:
#if defined(__cpp_exceptions)
    /* These throw error if the section is refused. */
    [[nodiscard]] critical_section(token py, object_arg object) : critical_section(std::nothrow, py, object) {
        detail::throw_unless_ok(status_);
    }
    [[nodiscard]] critical_section(token py, object_arg first, object_arg second)
        : critical_section(std::nothrow, py, first, second) {
        detail::throw_unless_ok(status_);
    }
    [[nodiscard]] critical_section(token py, mutex &lock) PYATTACH_ACQUIRE(lock)
        : critical_section(std::nothrow, py, lock) {
        detail::throw_unless_ok(status_);
    }
    [[nodiscard]] critical_section(token py, mutex &first, mutex &second) PYATTACH_ACQUIRE(first, second)
        : critical_section(std::nothrow, py, first, second) {
        detail::throw_unless_ok(status_);
    }
#endif
    /* These do not throw: test the section, or status(). */
    [[nodiscard]] critical_section(std::nothrow_t, token, object_arg object) noexcept
        : status_(pyattach_critical_section_begin(&section_, object.get())) {}
    [[nodiscard]] critical_section(std::nothrow_t, token, object_arg first, object_arg second) noexcept
        : status_(pyattach_critical_section_begin2(&section_, first.get(), second.get())) {}
    [[nodiscard]] critical_section(std::nothrow_t, token, mutex &lock) noexcept PYATTACH_ACQUIRE(lock)
        : status_(pyattach_critical_section_begin_mutex(&section_, lock.native_handle())) {}
    [[nodiscard]] critical_section(std::nothrow_t, token, mutex &first, mutex &second) noexcept
        PYATTACH_ACQUIRE(first, second)
        : status_(pyattach_critical_section_begin_mutex2(&section_, first.native_handle(), second.native_handle())) {}

    ~critical_section() PYATTACH_RELEASE() {
        if (status_ == PYATTACH_OK)
            pyattach_critical_section_end(&section_);
    }

    /* Whether the section was begun. */
    explicit operator bool() const noexcept { return status_ == PYATTACH_OK; }
    /* The status of the begin. */
    pyattach_status status() const noexcept { return status_; }

  private:
    pyattach_critical_section section_;
    pyattach_status status_;
};

#if defined(__cpp_exceptions)

/* Calls `function` in a critical section and returns its result. Throws error if the section is refused. */
template <class Function> decltype(auto) with_critical_section(token py, object_arg object, Function &&function) {
    critical_section here{py, object};
    return std::forward<Function>(function)();
}
template <class Function>
decltype(auto) with_critical_section(token py, object_arg first, object_arg second, Function &&function) {
    critical_section here{py, first, second};
    return std::forward<Function>(function)();
}
template <class Function> decltype(auto) with_critical_section(token py, mutex &lock, Function &&function) {
    critical_section here{py, lock};
    return std::forward<Function>(function)();
}
template <class Function>
decltype(auto) with_critical_section(token py, mutex &first, mutex &second, Function &&function) {
    critical_section here{py, first, second};
    return std::forward<Function>(function)();
}

#endif

} // namespace abi1
} // namespace pyattach
#endif
