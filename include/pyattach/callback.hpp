/* Callback: C++ that Python calls, and exceptions at the ABI boundary. */
#ifndef PYATTACH_CALLBACK_HPP
#define PYATTACH_CALLBACK_HPP

#include "detail/cpp17.hpp"

#if defined(__cpp_exceptions)

#include <exception>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <typeinfo>
#include <utility>
#if defined(__GLIBCXX__)
#include <cxxabi.h>
#endif

#include "attached.hpp"
#include "detail/park.hpp"
#include "forbidden.h"
#include "owned.hpp"
#include "python_error.hpp"
#include "type.hpp"

namespace pyattach {
inline namespace abi1 {

/* Called inside a catch block: raises the caught exception in Python, in place of one that is pending. May block and
 * runs Python code. A python_error is raised again unchanged; a cast_error becomes a TypeError, std::bad_alloc a
 * MemoryError, std::out_of_range an IndexError, std::invalid_argument and std::domain_error a ValueError,
 * std::overflow_error an OverflowError, and any other exception a RuntimeError with its what(). */
inline void raise_caught(token py) noexcept {
    try {
        throw;
    } catch (const python_error &caught) {
        caught.restore(py);
    } catch (const cast_error &caught) {
        detail::raise(py, "TypeError", caught.what());
    } catch (const std::bad_alloc &caught) {
        detail::raise(py, "MemoryError", caught.what());
    } catch (const std::out_of_range &caught) {
        detail::raise(py, "IndexError", caught.what());
    } catch (const std::invalid_argument &caught) {
        detail::raise(py, "ValueError", caught.what());
    } catch (const std::domain_error &caught) {
        detail::raise(py, "ValueError", caught.what());
    } catch (const std::overflow_error &caught) {
        detail::raise(py, "OverflowError", caught.what());
    } catch (const std::exception &caught) {
        detail::raise(py, "RuntimeError", caught.what());
    } catch (...) {
        detail::raise(py, "RuntimeError", "a C++ exception that is no std::exception");
    }
}

namespace detail {

/* What a C function that Python calls returns for a C++ result, and for an exception. */
template <class Result> struct returned {
    static_assert(std::is_integral_v<Result> && std::is_signed_v<Result>,
                  "callback: the function returns an owned, a pointer to an object, nothing, or a signed integer");
    using type = Result;
    static constexpr type failure = -1;
    static type pass(token, Result value) noexcept { return value; }
};
template <> struct returned<struct ::_object *> {
    using type = struct ::_object *;
    static constexpr struct ::_object *failure = nullptr;
    static type pass(token, type value) noexcept { return value; }
};
template <> struct returned<owned> : returned<struct ::_object *> {
    static type pass(token, owned value) noexcept { return value.release(); }
};

} // namespace detail

/* The body of a function that Python calls: calls `function(token)` and converts a C++ exception to one of Python's.
 *
 *     static PyObject *area(PyObject *, PyObject *shape) {
 *         return pyattach::callback([&](pyattach::token py) { return py.from(measure(py, shape)); });
 *     }
 *
 * The result of `function` decides what Python gets. An owned, or a pointer, is a new reference, which Python owns;
 * NULL reports an exception. A function that returns nothing gives None. A signed integer is for slots that return one;
 * -1 reports an exception. If the interpreter ended inside `function`, the thread is parked for ever, since there is no
 * Python to return to. */
template <class Function> auto callback(Function &&function) {
    using result = std::decay_t<std::invoke_result_t<Function, token>>;
    constexpr bool is_void = std::is_void_v<result>;
    using passed = detail::returned<std::conditional_t<is_void, owned, result>>;
    token py = token::assume();
    try {
        attached here = attached::assume();
        if constexpr (is_void) {
            std::forward<Function>(function)(py);
            return passed::pass(py, py.None());
        } else {
            return passed::pass(py, std::forward<Function>(function)(py));
        }
#if defined(__GLIBCXX__)
    } catch (abi::__forced_unwind &) {
        throw; /* the thread is being ended, which must not be stopped and is no error */
#endif
    } catch (...) {
        /* The interpreter ended inside `function`, so there is no Python to return to. */
        if (!pyattach_is_attached() && !pyattach_is_forbidden())
            detail::park();
        raise_caught(py);
        return passed::failure;
    }
}

} // namespace abi1
} // namespace pyattach

#endif
#endif
