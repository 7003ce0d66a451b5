/* Calls: the implementation of token's calls of Python. The contracts stand in token.hpp. */
#ifndef PYATTACH_CALLS_HPP
#define PYATTACH_CALLS_HPP

#include "detail/cpp17.hpp"

#include <array>
#include <type_traits>
#include <utility>

#include "call.h"
#include "conversion.hpp"
#include "owned.hpp"
#include "python_error.hpp"
#include "token.hpp"

namespace pyattach {
inline namespace abi1 {
namespace detail {

template <class T> pyattach_status to_value(token py, object_arg object, T &value) {
    static_assert(comes_from_python<T>, "pyattach: there is no way from a Python object to this type. Specialise "
                                        "pyattach::conversion for it");
    if constexpr (comes_from_python<T>)
        return conversion<T>::from_python(py, object.get(), value);
    else
        return PYATTACH_INVALID;
}

/* The result of a call of the C API: a status, and a new reference, which or_empty() or or_throw() takes over. */
struct outcome {
    pyattach_status status;
    struct ::_object *object;

    owned or_empty(token py) const noexcept { return owned::steal(py, object); }
#if defined(__cpp_exceptions)
    owned or_throw(token py) const {
        require(py, status);
        return owned::steal(py, object);
    }
#endif
};

/* Calls `call(result)`, which stores a new reference in *result. */
template <class Call> outcome made_by(Call &&call) noexcept {
    outcome done{PYATTACH_OK, nullptr};
    done.status = call(&done.object);
    return done;
}

inline pyattach_status refuse_inner_nul(token py) noexcept {
    return raise(py, "ValueError", "embedded null character");
}

inline outcome evaluate(token py, czstring code, object_arg globals, object_arg locals) noexcept {
    return made_by([&](struct ::_object **result) {
        return code.has_inner_nul() ? refuse_inner_nul(py)
                                    : pyattach_eval(code.get(), globals.get(), locals.get(), result);
    });
}

inline outcome import(token py, czstring name) noexcept {
    return made_by([&](struct ::_object **result) {
        return name.has_inner_nul() ? refuse_inner_nul(py) : pyattach_import(name.get(), result);
    });
}

inline outcome attribute(token py, object_arg object, czstring name) noexcept {
    return made_by([&](struct ::_object **result) {
        return name.has_inner_nul() ? refuse_inner_nul(py) : pyattach_get_attribute(object.get(), name.get(), result);
    });
}

inline outcome builtin(token py, czstring name) noexcept {
    outcome builtins = import(py, "builtins");
    if (builtins.status != PYATTACH_OK)
        return builtins;
    outcome found = attribute(py, builtins.object, name);
    py.xdecref(builtins.object);
    return found;
}

/* One argument of a call: an object_arg, or the object made from a C++ value. */
class argument {
  public:
    template <class T> argument(token py, const T &value) noexcept {
        using type = std::decay_t<const T &>;
        constexpr bool is_object = std::is_convertible_v<const T &, object_arg>, is_value = goes_to_python<type>;
        static_assert(is_object || is_value, "pyattach: there is no Python object for this type (nor for a plain char: "
                                             "make it a number or a text). Specialise pyattach::conversion for it");
        if constexpr (is_object)
            object_ = object_arg(value).get();
        else if constexpr (is_value)
            status_ = conversion<type>::to_python(py, static_cast<const type &>(value), &made_);
    }
    argument(const argument &) = delete;
    argument &operator=(const argument &) = delete;
    ~argument() { pyattach_decref(made_); }

    pyattach_status status() const noexcept { return status_; }
    struct ::_object *get() const noexcept {
        return made_ ? made_ : object_;
    }
    struct ::_object *release() noexcept {
        return std::exchange(made_, nullptr);
    }

  private:
    struct ::_object *object_ = nullptr, *made_ = nullptr;
    pyattach_status status_ = PYATTACH_OK;
};

template <std::size_t... i, class... Arguments>
outcome call(token py, object_arg callable, std::index_sequence<i...>, const Arguments &...values) noexcept {
    argument arguments[] = {argument(py, values)..., argument(py, callable)};
    struct ::_object *objects[] = {arguments[i].get()..., nullptr};
    return made_by([&](struct ::_object **result) {
        for (const argument &converted : arguments)
            if (converted.status() != PYATTACH_OK)
                return converted.status();
        return pyattach_call(callable.get(), objects, sizeof...(i), result);
    });
}

template <class... Arguments> outcome call(token py, object_arg callable, const Arguments &...values) noexcept {
    return call(py, callable, std::index_sequence_for<Arguments...>(), values...);
}

template <class... Arguments>
outcome call_method(token py, object_arg object, czstring name, const Arguments &...values) noexcept {
    outcome method = attribute(py, object, name);
    if (method.status != PYATTACH_OK)
        return method;
    outcome done = call(py, method.object, values...);
    py.xdecref(method.object);
    return done;
}

template <class T> outcome convert(token py, const T &value) noexcept {
    argument made(py, value);
    struct ::_object *object = made.release();
    if (!object && made.status() == PYATTACH_OK && pyattach_incref(made.get()) == PYATTACH_OK)
        object = made.get();
    pyattach_status status = made.status();
    return {object || status != PYATTACH_OK ? status : PYATTACH_INVALID, object};
}

} // namespace detail

/* --- The forms that do not throw --- */

inline owned token::eval(std::nothrow_t, czstring code, object_arg globals, object_arg locals) const noexcept {
    return detail::evaluate(*this, code, globals, locals).or_empty(*this);
}
inline pyattach_status token::run(std::nothrow_t, czstring code, object_arg globals, object_arg locals) const noexcept {
    if (code.has_inner_nul())
        return detail::refuse_inner_nul(*this);
    return pyattach_run(code.get(), globals.get(), locals.get());
}
inline owned token::import(std::nothrow_t, czstring name) const noexcept {
    return detail::import(*this, name).or_empty(*this);
}
inline pyattach_status token::check_signals(std::nothrow_t) const noexcept { return pyattach_check_signals(); }
inline owned token::builtin(std::nothrow_t, czstring name) const noexcept {
    return detail::builtin(*this, name).or_empty(*this);
}
inline owned token::get_attribute(std::nothrow_t, object_arg object, czstring name) const noexcept {
    return detail::attribute(*this, object, name).or_empty(*this);
}
template <class T>
pyattach_status token::set_attribute(std::nothrow_t, object_arg object, czstring name, const T &value) const noexcept {
    if (name.has_inner_nul())
        return detail::refuse_inner_nul(*this);
    detail::argument made(*this, value);
    if (made.status() != PYATTACH_OK)
        return made.status();
    return pyattach_set_attribute(object.get(), name.get(), made.get());
}
template <class... Arguments>
owned token::call(std::nothrow_t, object_arg callable, const Arguments &...arguments) const noexcept {
    return detail::call(*this, callable, arguments...).or_empty(*this);
}
template <class... Arguments> owned token::call_method(std::nothrow_t, object_arg object, czstring name,
                                                       const Arguments &...arguments) const noexcept {
    return detail::call_method(*this, object, name, arguments...).or_empty(*this);
}
inline owned token::str(std::nothrow_t, object_arg object) const noexcept {
    return detail::made_by([&](struct ::_object **result) { return pyattach_str(object.get(), result); })
        .or_empty(*this);
}
inline owned token::repr(std::nothrow_t, object_arg object) const noexcept {
    return detail::made_by([&](struct ::_object **result) { return pyattach_repr(object.get(), result); })
        .or_empty(*this);
}
template <class T> std::optional<T> token::to(std::nothrow_t, object_arg object) const {
    std::optional<T> value(std::in_place);
    if (detail::to_value(*this, object, *value) != PYATTACH_OK)
        value.reset();
    return value;
}
template <class T> owned token::from(std::nothrow_t, const T &value) const noexcept {
    return detail::convert(*this, value).or_empty(*this);
}
inline std::optional<std::string_view> token::to_bytes(std::nothrow_t, object_arg object) const noexcept {
    const char *data = nullptr;
    std::size_t size = 0;
    if (pyattach_to_bytes(object.get(), &data, &size) != PYATTACH_OK)
        return std::nullopt;
    return std::string_view(data, size);
}
inline owned token::from_bytes(std::nothrow_t, std::string_view data) const noexcept {
    return detail::made_by(
               [&](struct ::_object **result) { return pyattach_from_bytes(data.data(), data.size(), result); })
        .or_empty(*this);
}
inline void token::xdecref(struct ::_object *object) const noexcept { pyattach_decref(object); }

/* --- The forms that throw --- */

#if defined(__cpp_exceptions)
inline owned token::eval(czstring code, object_arg globals, object_arg locals) const {
    return detail::evaluate(*this, code, globals, locals).or_throw(*this);
}
inline void token::run(czstring code, object_arg globals, object_arg locals) const {
    detail::require(*this, run(std::nothrow, code, globals, locals));
}
inline owned token::import(czstring name) const { return detail::import(*this, name).or_throw(*this); }
inline void token::check_signals() const { detail::require(*this, pyattach_check_signals()); }
inline owned token::builtin(czstring name) const { return detail::builtin(*this, name).or_throw(*this); }
inline owned token::None() const { return builtin("None"); }
inline owned token::NotImplemented() const { return builtin("NotImplemented"); }
inline owned token::Ellipsis() const { return builtin("Ellipsis"); }
inline owned token::get_attribute(object_arg object, czstring name) const {
    return detail::attribute(*this, object, name).or_throw(*this);
}
template <class T> void token::set_attribute(object_arg object, czstring name, const T &value) const {
    detail::require(*this, set_attribute(std::nothrow, object, name, value));
}
template <class... Arguments> owned token::call(object_arg callable, const Arguments &...arguments) const {
    return detail::call(*this, callable, arguments...).or_throw(*this);
}
template <class... Arguments>
owned token::call_method(object_arg object, czstring name, const Arguments &...arguments) const {
    return detail::call_method(*this, object, name, arguments...).or_throw(*this);
}
inline owned token::str(object_arg object) const {
    return detail::made_by([&](struct ::_object **result) { return pyattach_str(object.get(), result); })
        .or_throw(*this);
}
inline owned token::repr(object_arg object) const {
    return detail::made_by([&](struct ::_object **result) { return pyattach_repr(object.get(), result); })
        .or_throw(*this);
}
template <class T> T token::to(object_arg object) const {
    T value{};
    detail::require(*this, detail::to_value(*this, object, value));
    return value;
}
template <class T> owned token::from(const T &value) const { return detail::convert(*this, value).or_throw(*this); }
inline std::string_view token::to_bytes(object_arg object) const {
    const char *data = nullptr;
    std::size_t size = 0;
    detail::require(*this, pyattach_to_bytes(object.get(), &data, &size));
    return std::string_view(data, size);
}
inline owned token::from_bytes(std::string_view data) const {
    return detail::made_by(
               [&](struct ::_object **result) { return pyattach_from_bytes(data.data(), data.size(), result); })
        .or_throw(*this);
}
#endif

} // namespace abi1
} // namespace pyattach
#endif
