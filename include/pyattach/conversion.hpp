/* Conversion: between C++ values and Python objects. */
#ifndef PYATTACH_CONVERSION_HPP
#define PYATTACH_CONVERSION_HPP

#include "detail/cpp17.hpp"

#include <charconv>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include "call.h"
#include "python_error.hpp"

namespace pyattach {
inline namespace abi1 {

/* Converts between a T and a Python object. Specialise it for types of your own, with
 *
 *     static pyattach_status to_python(token py, const T &value, struct _object **result);
 *     static pyattach_status from_python(token py, struct _object *object, T &value);
 *     static constexpr const char *type_name = "dict";
 *
 * Both functions are called on an attached thread, may run Python code, and do not throw. They return PYATTACH_OK, or
 * PYATTACH_PYTHON_ERROR with the exception set. to_python stores a new reference in *result; from_python borrows the
 * object. One of the two may be missing. type_name, which get_type<T>() needs, may be missing, too. */
template <class T, class = void> struct conversion;

namespace detail {

template <class T> inline constexpr bool is_character =
    std::is_same_v<T, char> || std::is_same_v<T, wchar_t> || std::is_same_v<T, char16_t> || std::is_same_v<T, char32_t>;
template <class T> inline constexpr bool is_integer =
    std::is_integral_v<T> && !std::is_same_v<T, bool> && !is_character<T>;

template <class T, class = void> inline constexpr bool goes_to_python = false;
template <class T> inline constexpr bool goes_to_python<T, std::void_t<decltype(&conversion<T>::to_python)>> = true;
template <class T, class = void> inline constexpr bool comes_from_python = false;
template <class T> inline constexpr bool comes_from_python<T, std::void_t<decltype(&conversion<T>::from_python)>> =
    true;

/* Converts by way of decimal digits an integer that is too large for the int64_t of the C functions. */
inline pyattach_status from_unsigned(token py, std::uint64_t value, struct ::_object **result) noexcept {
    char digits[20];
    char *end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    struct ::_object *text = nullptr, *builtins = nullptr, *type = nullptr;
    pyattach_status status = pyattach_from_utf8(digits, static_cast<std::size_t>(end - digits), &text);
    if (status == PYATTACH_OK)
        status = pyattach_import("builtins", &builtins);
    if (status == PYATTACH_OK)
        status = pyattach_get_attribute(builtins, "int", &type);
    if (status == PYATTACH_OK)
        status = pyattach_call(type, &text, 1, result);
    for (struct ::_object *object : {text, builtins, type})
        py.xdecref(object);
    return status;
}

/* False if the object is no uint64_t; then no exception is set. */
inline bool to_unsigned(token py, struct ::_object *object, std::uint64_t &value) noexcept {
    struct ::_object *index = nullptr, *integer = nullptr, *text = nullptr;
    const char *digits = nullptr;
    std::size_t size = 0;
    bool is_made = pyattach_get_attribute(object, "__index__", &index) == PYATTACH_OK &&
                   pyattach_call(index, nullptr, 0, &integer) == PYATTACH_OK &&
                   pyattach_str(integer, &text) == PYATTACH_OK && pyattach_to_utf8(text, &digits, &size) == PYATTACH_OK;
    if (is_made) {
        auto read = std::from_chars(digits, digits + size, value);
        is_made = read.ec == std::errc() && read.ptr == digits + size;
    } else {
        pyattach_error_clear();
    }
    for (struct ::_object *temporary : {index, integer, text})
        py.xdecref(temporary);
    return is_made;
}

/* Called with the exception pending that the object is no int64_t. If the object is a larger uint64_t, the exception is
 * cleared, and the result is PYATTACH_OK. */
inline pyattach_status to_large(token py, struct ::_object *object, std::uint64_t &value) noexcept {
    struct ::_object *exception = nullptr;
    pyattach_error_take(&exception);
    bool is_large = to_unsigned(py, object, value);
    if (!is_large)
        pyattach_error_restore(exception);
    py.xdecref(exception);
    return is_large ? PYATTACH_OK : PYATTACH_PYTHON_ERROR;
}

} // namespace detail

/* bool; from Python, whether Python considers the object true. */
template <> struct conversion<bool> {
    /* The members that the primary template describes. */
    static constexpr const char *type_name = "bool";
    static pyattach_status to_python(token, bool value, struct ::_object **result) noexcept {
        return pyattach_from_bool(value, result);
    }
    static pyattach_status from_python(token, struct ::_object *object, bool &value) noexcept {
        int truth = 0;
        pyattach_status status = pyattach_to_bool(object, &truth);
        value = truth != 0;
        return status;
    }
};

/* Integers of at most 64 bits. A number out of range is an OverflowError. A character type has no conversion, because
 * it may mean a number or a text; cast it to the one meant. */
template <class T> struct conversion<T, std::enable_if_t<detail::is_integer<T>>> {
    /* The members that the primary template describes. */
    static constexpr const char *type_name = "int";
    static pyattach_status to_python(token py, T value, struct ::_object **result) noexcept {
        if constexpr (is_large)
            if (value > static_cast<T>(std::numeric_limits<std::int64_t>::max()))
                return detail::from_unsigned(py, value, result);
        return pyattach_from_int64(static_cast<std::int64_t>(value), result);
    }
    static pyattach_status from_python(token py, struct ::_object *object, T &value) noexcept {
        std::int64_t wide = 0;
        pyattach_status status = pyattach_to_int64(object, &wide);
        if constexpr (is_large) {
            std::uint64_t large = 0;
            if (status == PYATTACH_PYTHON_ERROR && detail::to_large(py, object, large) == PYATTACH_OK) {
                value = static_cast<T>(large);
                return PYATTACH_OK;
            }
        }
        if (status != PYATTACH_OK)
            return status;
        bool fits = is_large ? wide >= 0
                             : wide >= static_cast<std::int64_t>(std::numeric_limits<T>::min()) &&
                                   wide <= static_cast<std::int64_t>(std::numeric_limits<T>::max());
        if (!fits)
            return detail::raise(py, "OverflowError", "Python int out of range of the C++ integer");
        value = static_cast<T>(wide);
        return PYATTACH_OK;
    }

  private:
    static constexpr bool is_large = std::is_unsigned_v<T> && sizeof(T) >= sizeof(std::int64_t);
    static_assert(sizeof(T) <= sizeof(std::int64_t), "no conversion for integers wider than 64 bits");
};

/* Floating point numbers; from Python, of any object with `__float__`. */
template <class T> struct conversion<T, std::enable_if_t<std::is_floating_point_v<T>>> {
    /* The members that the primary template describes. */
    static constexpr const char *type_name = "float";
    static pyattach_status to_python(token, T value, struct ::_object **result) noexcept {
        return pyattach_from_double(static_cast<double>(value), result);
    }
    static pyattach_status from_python(token, struct ::_object *object, T &value) noexcept {
        double wide = 0;
        pyattach_status status = pyattach_to_double(object, &wide);
        value = static_cast<T>(wide);
        return status;
    }
};

/* Texts, as UTF-8. A std::string_view made from an object is valid as long as the object. */
template <> struct conversion<std::string_view> {
    /* The members that the primary template describes. */
    static constexpr const char *type_name = "str";
    static pyattach_status to_python(token, std::string_view value, struct ::_object **result) noexcept {
        return pyattach_from_utf8(value.data(), value.size(), result);
    }
    static pyattach_status from_python(token, struct ::_object *object, std::string_view &value) noexcept {
        const char *text = nullptr;
        std::size_t size = 0;
        pyattach_status status = pyattach_to_utf8(object, &text, &size);
        value = std::string_view(text, size);
        return status;
    }
};
/* The same, as a copy, which does not need the object afterwards. */
template <> struct conversion<std::string> : conversion<std::string_view> {
    /* The members that the primary template describes. */
    static pyattach_status from_python(token py, struct ::_object *object, std::string &value) {
        std::string_view text;
        pyattach_status status = conversion<std::string_view>::from_python(py, object, text);
        value = text;
        return status;
    }
};
/* To Python only. NULL gives PYATTACH_INVALID. */
template <> struct conversion<const char *> {
    /* The members that the primary template describes. */
    static pyattach_status to_python(token, const char *value, struct ::_object **result) noexcept {
        return value ? pyattach_from_utf8(value, std::strlen(value), result) : PYATTACH_INVALID;
    }
};
template <> struct conversion<char *> : conversion<const char *> {};

} // namespace abi1
} // namespace pyattach
#endif
