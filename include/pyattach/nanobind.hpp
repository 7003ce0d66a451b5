/* nanobind: casters for the types of this library, and conversions between both. Not included by pyattach.hpp. */
#ifndef PYATTACH_NANOBIND_HPP
#define PYATTACH_NANOBIND_HPP

#include "detail/cpp17.hpp"

#include <nanobind/nanobind.h>

#include <exception>
#include <new>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "callback_function.hpp"
#include "detached.hpp"
#include "owned.hpp"
#include "python_error.hpp"
#include "shared_owned.hpp"
#include "token.hpp"

/* With this header, functions that nanobind binds may take and return
 *
 * - owned and shared_owned, for any object. An empty one becomes None. (nanobind passes None to a parameter that is
 *   declared with .none() only.)
 * - callback_function<Result(Arguments...)>, as std::function with nanobind/stl/function.h, and with the same
 * signature. Anything that cannot be called is a TypeError; None gives an empty one, and an empty one becomes None.
 * Arguments and result are converted by nanobind, so all its casters work. nanobind's python_error and cast errors go
 * to the policy; other C++ exceptions pass through.
 *
 * nb::call_guard<pyattach::detached_guard>() detaches around a function: see detached.hpp. The casters run on the
 * attached thread that calls the function. They run no Python code and do not block. */

namespace pyattach {
inline namespace abi1 {

/* From nanobind: takes over the reference. For an object of the interpreter to which the thread is attached. */
[[nodiscard]] inline owned to_owned(token py, nanobind::object object) noexcept {
    return owned::steal(py, object.release().ptr());
}
/* To nanobind: takes over the reference of an owned, or adds one to that of a shared_owned, which keeps its own. The
 * thread is attached to the object's interpreter, and stays so until the result is destroyed. */
[[nodiscard]] inline nanobind::object to_nanobind(token, owned object) noexcept {
    return nanobind::steal(object.release());
}
[[nodiscard]] inline nanobind::object to_nanobind(token py, const shared_owned &object) noexcept {
    return to_nanobind(py, object.copy(py));
}

/* Called in the initializer of a module: a python_error of this library that a function throws is raised in Python
 * again, as the exception that it holds. Without it nanobind raises a RuntimeError with the text. An error of another
 * status remains a RuntimeError. It holds for all modules of the nanobind domain. */
inline void translate_errors(nanobind::module_ &) {
    nanobind::register_exception_translator([](const std::exception_ptr &thrown, void *) {
        try {
            std::rethrow_exception(thrown);
        } catch (const python_error &caught) {
            caught.restore(token::assume());
        }
    });
}

namespace detail {

/* The caller of a callback_function that nanobind's caster made. */
template <class Result, class... Arguments> pyattach_status
call_nanobind(token py, struct ::_object *callable, call_result<Result> &result, Arguments &&...arguments) {
    try {
        nanobind::object returned = nanobind::handle(callable)(std::forward<Arguments>(arguments)...);
        if constexpr (!std::is_void_v<Result>)
            result.set(nanobind::cast<Result>(std::move(returned)));
        return PYATTACH_OK;
    } catch (nanobind::python_error &raised) {
        raised.restore();
    } catch (const std::bad_cast &) {
        return raise(py, "TypeError", "an argument or the result of a callback could not be converted");
    } catch (const nanobind::builtin_exception &raised) {
        return raise(py, "RuntimeError", raised.what());
    }
    return PYATTACH_PYTHON_ERROR;
}

} // namespace detail
} // namespace abi1
} // namespace pyattach

namespace nanobind {
namespace detail {

/* An owned: any object. */
template <> struct type_caster<pyattach::owned> {
    /* The members that nanobind asks for. */
    NB_TYPE_CASTER(pyattach::owned, const_name("object"))
    bool from_python(handle source, uint8_t, cleanup_list *) noexcept {
        value = pyattach::owned::borrow(pyattach::token::assume(), source.ptr());
        return static_cast<bool>(value);
    }
    static handle from_cpp(pyattach::owned &&source, rv_policy, cleanup_list *) noexcept {
        return source ? handle(source.release()) : none().release();
    }
    static handle from_cpp(const pyattach::owned &source, rv_policy, cleanup_list *) noexcept {
        return source ? handle(source.get()).inc_ref() : none().release();
    }
};

/* A shared_owned: any object. */
template <> struct type_caster<pyattach::shared_owned> {
    /* The members that nanobind asks for. */
    NB_TYPE_CASTER(pyattach::shared_owned, const_name("object"))
    bool from_python(handle source, uint8_t, cleanup_list *) noexcept {
        value = pyattach::shared_owned(std::nothrow, pyattach::owned::borrow(pyattach::token::assume(), source.ptr()));
        return static_cast<bool>(value);
    }
    static handle from_cpp(const pyattach::shared_owned &source, rv_policy, cleanup_list *) noexcept {
        return source ? handle(source.get()).inc_ref() : none().release();
    }
};

/* A callback_function: anything that can be called. */
template <class Result, class... Arguments, class Policy>
struct type_caster<pyattach::callback_function<Result(Arguments...), Policy>> {
    /* The members that nanobind asks for. */
    using type = pyattach::callback_function<Result(Arguments...), Policy>;
    using result_caster = make_caster<std::conditional_t<std::is_void_v<Result>, void_type, Result>>;
    NB_TYPE_CASTER(type, const_name("collections.abc.Callable[[") + concat(make_caster<Arguments>::Name...) +
                             const_name("], ") + result_caster::Name + const_name("]"))
    bool from_python(handle source, uint8_t flags, cleanup_list *) noexcept {
        if (source.is_none())
            return (flags & static_cast<uint8_t>(cast_flags::convert)) != 0;
        if (!isinstance<callable>(source))
            return false;
        pyattach::owned callable = pyattach::owned::borrow(pyattach::token::assume(), source.ptr());
        value = type(pyattach::shared_owned(std::nothrow, std::move(callable)),
                     &pyattach::detail::call_nanobind<Result, Arguments...>);
        return static_cast<bool>(value);
    }
    static handle from_cpp(const type &source, rv_policy policy, cleanup_list *list) noexcept {
        return make_caster<pyattach::shared_owned>::from_cpp(source.callable(), policy, list);
    }
};

} // namespace detail
} // namespace nanobind
#endif
