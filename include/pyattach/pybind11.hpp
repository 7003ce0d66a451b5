/* pybind11: casters for the types of this library, and conversions between both. Not included by pyattach.hpp. */
#ifndef PYATTACH_PYBIND11_HPP
#define PYATTACH_PYBIND11_HPP

#include "detail/cpp17.hpp"

#include <pybind11/pybind11.h>

#include <exception>
#include <type_traits>
#include <utility>

#include "callback_function.hpp"
#include "detached.hpp"
#include "owned.hpp"
#include "python_error.hpp"
#include "shared_owned.hpp"
#include "token.hpp"

/* With this header, functions that pybind11 binds may take and return
 *
 * - owned and shared_owned, for any object, None included. An empty one becomes None.
 * - callback_function<Result(Arguments...)>, as std::function with pybind11/functional.h, and with the same signature
 * in help(). Anything that cannot be called is a TypeError; None gives an empty one, and an empty one becomes None.
 *   Arguments and result are converted by pybind11, so all its casters work. pybind11's error_already_set and
 * cast_error go to the policy; other C++ exceptions pass through.
 *
 * py::call_guard<pyattach::detached_guard>() detaches around a function: see detached.hpp. The casters run on the
 * attached thread that calls the function. They run no Python code and do not block. */

namespace pyattach {
inline namespace abi1 {

/* From pybind11: takes over the reference. For an object of the interpreter to which the thread is attached. */
[[nodiscard]] inline owned to_owned(token py, pybind11::object object) noexcept {
    return owned::steal(py, object.release().ptr());
}
/* To pybind11: takes over the reference of an owned, or adds one to that of a shared_owned, which keeps its own. The
 * thread is attached to the object's interpreter, and stays so until the result is destroyed. */
[[nodiscard]] inline pybind11::object to_pybind11(token, owned object) noexcept {
    return pybind11::reinterpret_steal<pybind11::object>(object.release());
}
[[nodiscard]] inline pybind11::object to_pybind11(token py, const shared_owned &object) noexcept {
    return to_pybind11(py, object.copy(py));
}

/* Called in the initializer of a module: a python_error that a function of the module throws is raised in Python again,
 * as the exception that it holds. Without it pybind11 raises a RuntimeError with the text. An error of another status
 * remains a RuntimeError. */
inline void translate_errors(pybind11::module_ &) {
    pybind11::register_local_exception_translator([](std::exception_ptr thrown) {
        try {
            if (thrown)
                std::rethrow_exception(thrown);
        } catch (const python_error &caught) {
            caught.restore(token::assume());
        }
    });
}

namespace detail {

/* The caller of a callback_function that pybind11's caster made. */
template <class Result, class... Arguments> pyattach_status
call_pybind11(token, struct ::_object *callable, call_result<Result> &result, Arguments &&...arguments) {
    try {
        pybind11::object returned = pybind11::handle(callable)(std::forward<Arguments>(arguments)...);
        if constexpr (!std::is_void_v<Result>)
            result.set(std::move(returned).template cast<Result>());
        return PYATTACH_OK;
    } catch (pybind11::error_already_set &raised) {
        raised.restore();
    } catch (const pybind11::builtin_exception &raised) {
        raised.set_error();
    }
    return PYATTACH_PYTHON_ERROR;
}

} // namespace detail
} // namespace abi1
} // namespace pyattach

namespace pybind11 {
namespace detail {

/* An owned: any object. */
template <> struct type_caster<pyattach::owned> {
    /* The members that pybind11 asks for. */
    PYBIND11_TYPE_CASTER(pyattach::owned, const_name("object"));
    bool load(handle source, bool) noexcept {
        value = pyattach::owned::borrow(pyattach::token::assume(), source.ptr());
        return static_cast<bool>(value);
    }
    static handle cast(pyattach::owned &&source, return_value_policy, handle) noexcept {
        return source ? handle(source.release()) : none().release();
    }
    static handle cast(const pyattach::owned &source, return_value_policy, handle) noexcept {
        return source ? handle(source.get()).inc_ref() : none().release();
    }
};

/* A shared_owned: any object. */
template <> struct type_caster<pyattach::shared_owned> {
    /* The members that pybind11 asks for. */
    PYBIND11_TYPE_CASTER(pyattach::shared_owned, const_name("object"));
    bool load(handle source, bool) {
        value = pyattach::owned::borrow(pyattach::token::assume(), source.ptr());
        return static_cast<bool>(value);
    }
    static handle cast(const pyattach::shared_owned &source, return_value_policy, handle) noexcept {
        return source ? handle(source.get()).inc_ref() : none().release();
    }
};

/* A callback_function: anything that can be called. */
template <class Result, class... Arguments, class Policy>
struct type_caster<pyattach::callback_function<Result(Arguments...), Policy>> {
    /* The members that pybind11 asks for. */
    using type = pyattach::callback_function<Result(Arguments...), Policy>;
    using result_type = conditional_t<std::is_void<Result>::value, void_type, Result>;
#if PYBIND11_VERSION_MAJOR >= 3
    PYBIND11_TYPE_CASTER(
        type, const_name("collections.abc.Callable[[") +
                  ::pybind11::detail::concat(::pybind11::detail::inv_descr(make_caster<Arguments>::name)...) +
                  const_name("], ") + make_caster<result_type>::name + const_name("]"));
#else
    PYBIND11_TYPE_CASTER(type, const_name("Callable[[") + ::pybind11::detail::concat(make_caster<Arguments>::name...) +
                                   const_name("], ") + make_caster<result_type>::name + const_name("]"));
#endif
    bool load(handle source, bool convert) {
        if (source.is_none())
            return convert; /* as for a std::function, other overloads come first */
        if (!isinstance<function>(source))
            return false;
        value = type(pyattach::owned::borrow(pyattach::token::assume(), source.ptr()),
                     &pyattach::detail::call_pybind11<Result, Arguments...>);
        return static_cast<bool>(value);
    }
    static handle cast(const type &source, return_value_policy policy, handle parent) noexcept {
        return make_caster<pyattach::shared_owned>::cast(source.callable(), policy, parent);
    }
};

} // namespace detail
} // namespace pybind11
#endif
