/* Detach: token::detach, which calls a function in a detached scope with arguments that the compiler has checked. The
 * contracts stand in token.hpp. */
#ifndef PYATTACH_DETAIL_DETACH_HPP
#define PYATTACH_DETAIL_DETACH_HPP

#include "cpp17.hpp"

#include <functional>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

#include "../detach_safe.hpp"
#include "../detached.hpp"
#include "../token.hpp"

namespace pyattach {
inline namespace abi1 {
namespace detail {

/* The parameter type of an argument: std::ref(x) passes x itself, anything else passes a copy. */
template <class T> struct passed_as { using type = T; };
template <class T> struct passed_as<std::reference_wrapper<T>> { using type = T &; };
template <class T> using passed_as_t = typename passed_as<std::decay_t<T>>::type;

/* A function pointer, or a class without members: a lambda that captures nothing. */
template <class Function>
inline constexpr bool is_stateless = std::is_function_v<std::remove_pointer_t<Function>> ||
                                     std::is_member_function_pointer_v<Function> ||
                                     (std::is_empty_v<Function> && !std::is_base_of_v<token, Function>);

/* Each of the functions below reports an error once, and then returns false, so that the body of the call is not
 * instantiated and adds no errors. */
template <class Argument> constexpr bool may_be_passed() {
    using type = std::remove_cv_t<std::remove_reference_t<passed_as_t<Argument>>>;
    constexpr bool is_token = std::is_base_of_v<token, type>, is_borrowed = std::is_base_of_v<borrowed, type>;
    constexpr bool is_object = std::is_pointer_v<type> && !is_safe_pointee<typename pointee<type>::type>::value;
    constexpr bool is_safe = is_token || is_borrowed || is_object || detach_safe<type>::value;
    constexpr bool can_be_made = std::is_constructible_v<std::decay_t<Argument>, Argument>;
    static_assert(!is_token, "py.detach: a token cannot go along: it proves that this thread is attached, which the "
                             "function is not. Open an `attached` scope in there if it needs Python");
    static_assert(!is_borrowed, "py.detach: a borrowed cannot go along: it may be used only while attached. Hand over "
                                "an owned, or C++ values taken out of the object before");
    static_assert(!is_object, "py.detach: a pointer to a Python object cannot go along: it may be used only while "
                              "attached. Hand over an owned, or C++ values taken out of the object before");
    static_assert(is_safe, "py.detach: this type holds, or may hold, Python objects or a token. Hand over plain values "
                           "or an owned; if your class is harmless, say so: "
                           "template <> struct pyattach::detach_safe<your_class> : std::true_type {}");
    static_assert(can_be_made, "py.detach: this argument cannot be copied. Move it in with std::move, or share it with "
                               "std::ref");
    return !is_token && !is_borrowed && !is_object && is_safe && can_be_made;
}

template <class Result> constexpr bool may_be_returned() {
    using type = std::remove_cv_t<std::remove_reference_t<Result>>;
    constexpr bool is_of_use = !std::is_base_of_v<token, type> && !std::is_base_of_v<borrowed, type>;
    static_assert(is_of_use, "py.detach: a token or a borrowed cannot come out of a detached scope. Return an owned");
    return is_of_use;
}

template <class Function, class... Arguments> constexpr bool may_detach() {
    static_assert(is_stateless<Function>,
                  "py.detach: the function must capture nothing, because what it captures cannot be checked. Pass it "
                  "as arguments, which are checked, or vouch for the closure with py.detach_unchecked");
    if constexpr (is_stateless<Function> && (may_be_passed<Arguments>() && ...)) {
        constexpr bool is_callable = std::is_invocable_v<Function &, passed_as_t<Arguments>...>;
        static_assert(is_callable, "py.detach: the function cannot be called with these arguments. It gets copies: let "
                                   "it take them by value or const reference, or share one with std::ref");
        if constexpr (is_callable)
            return may_be_returned<std::invoke_result_t<Function &, passed_as_t<Arguments>...>>();
    }
    return false;
}

/* The copies are made while the thread is attached, and destroyed after it is attached again. */
template <class Function, class... Arguments> auto bind_copies(Function &function, Arguments &&...arguments) {
    return [&function, copies = std::make_tuple(std::forward<Arguments>(arguments)...)]() mutable -> decltype(auto) {
        return std::apply(function, std::move(copies));
    };
}

#if defined(__cpp_exceptions)
template <class Function> decltype(auto) call_detached(token py, Function &&function) {
    using result = std::invoke_result_t<Function>;
    detached gap{py};
    /* The destructor of `gap` attaches again only if the function throws. */
    if constexpr (std::is_void_v<result>) {
        std::forward<Function>(function)();
        throw_unless_ok(gap.resume());
    } else if constexpr (std::is_reference_v<result>) {
        result referred = std::forward<Function>(function)();
        throw_unless_ok(gap.resume());
        return static_cast<result>(referred);
    } else {
        result value = std::forward<Function>(function)();
        throw_unless_ok(gap.resume());
        return value;
    }
}
#endif

template <class Function> pyattach_status call_detached(std::nothrow_t, token py, Function &&function) {
    static_assert(std::is_void_v<std::invoke_result_t<Function>>,
                  "py.detach(std::nothrow, ...) returns the status: let the function return nothing, and hand results "
                  "out through an argument, with std::ref");
    detached gap{std::nothrow, py};
    if (gap)
        std::forward<Function>(function)();
    return gap.resume();
}

} // namespace detail

#if defined(__cpp_exceptions)
template <class Function, class... Arguments>
decltype(auto) token::detach(Function function, Arguments &&...arguments) const {
    if constexpr (detail::may_detach<Function, Arguments...>())
        return detail::call_detached(*this, detail::bind_copies(function, std::forward<Arguments>(arguments)...));
}

template <class Function> decltype(auto) token::detach_unchecked(Function &&function) const {
    return detail::call_detached(*this, std::forward<Function>(function));
}
#endif

template <class Function, class... Arguments>
pyattach_status token::detach(std::nothrow_t, Function function, Arguments &&...arguments) const {
    if constexpr (detail::may_detach<Function, Arguments...>())
        return detail::call_detached(std::nothrow, *this,
                                     detail::bind_copies(function, std::forward<Arguments>(arguments)...));
    else
        return PYATTACH_INVALID;
}

template <class Function> pyattach_status token::detach_unchecked(std::nothrow_t, Function &&function) const {
    return detail::call_detached(std::nothrow, *this, std::forward<Function>(function));
}

} // namespace abi1
} // namespace pyattach
#endif
