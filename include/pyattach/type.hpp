/* Type: the type of an object, and checked casts. The contracts stand in token.hpp. */
#ifndef PYATTACH_TYPE_HPP
#define PYATTACH_TYPE_HPP

#include "detail/cpp17.hpp"

#include <memory>
#include <new>
#include <string>
#include <utility>

#include "calls.hpp"

namespace pyattach {
inline namespace abi1 {

/* Thrown by checked_cast. A callback converts it to a TypeError. */
class PYATTACH_VISIBLE cast_error : public error {
  public:
    /* `message` is what what() returns; the status is PYATTACH_INVALID. */
    explicit cast_error(std::string message)
        : error(PYATTACH_INVALID), message_(std::make_shared<const std::string>(std::move(message))) {}
    /* "'str' object cannot be cast to 'int'" */
    const char *what() const noexcept override { return message_->c_str(); }

  private:
    std::shared_ptr<const std::string> message_; /* shared, because a copy of an exception must not throw */
};

namespace detail {

inline outcome type_of(object_arg object) noexcept {
    return made_by([&](struct ::_object **type) { return pyattach_type_of(object.get(), type); });
}

} // namespace detail

inline owned token::get_type(std::nothrow_t, object_arg object) const noexcept {
    return detail::type_of(object).or_empty(*this);
}
inline std::optional<bool> token::is_instance(std::nothrow_t, object_arg object, object_arg type) const noexcept {
    int answer = 0;
    if (pyattach_is_instance(object.get(), type.get(), &answer) != PYATTACH_OK)
        return std::nullopt;
    return answer != 0;
}
inline std::optional<bool> token::is_subclass(std::nothrow_t, object_arg derived, object_arg base) const noexcept {
    int answer = 0;
    if (pyattach_is_subclass(derived.get(), base.get(), &answer) != PYATTACH_OK)
        return std::nullopt;
    return answer != 0;
}

inline borrowed token::cast_unchecked(object_arg object, object_arg) const noexcept { return {*this, object.get()}; }
inline owned token::cast_unchecked(owned &&object, object_arg) const noexcept { return std::move(object); }
template <class T> T *token::cast_unchecked(object_arg object) const noexcept {
    return reinterpret_cast<T *>(object.get());
}

#if defined(__cpp_exceptions)
inline owned token::get_type(object_arg object) const { return detail::type_of(object).or_throw(*this); }
template <class T> owned token::get_type() const { return builtin(conversion<std::decay_t<T>>::type_name); }

inline bool token::is_instance(object_arg object, object_arg type) const {
    int answer = 0;
    detail::require(*this, pyattach_is_instance(object.get(), type.get(), &answer));
    return answer != 0;
}
inline bool token::is_subclass(object_arg derived, object_arg base) const {
    int answer = 0;
    detail::require(*this, pyattach_is_subclass(derived.get(), base.get(), &answer));
    return answer != 0;
}

namespace detail {

/* The name of a type; for a tuple of types, which has none, its repr(). */
inline std::string name_of_type(token py, object_arg type) {
    owned name = py.get_attribute(std::nothrow, type, "__name__");
    if (!name) {
        pyattach_error_clear();
        name = py.repr(type);
    }
    return py.to<std::string>(py.str(name));
}

inline void require_instance(token py, object_arg object, object_arg type) {
    if (!py.is_instance(object, type))
        throw cast_error("'" + name_of_type(py, py.get_type(object)) + "' object cannot be cast to '" +
                         name_of_type(py, type) + "'");
}

} // namespace detail

inline borrowed token::checked_cast(object_arg object, object_arg type) const {
    detail::require_instance(*this, object, type);
    return {*this, object.get()};
}
inline owned token::checked_cast(owned &&object, object_arg type) const {
    detail::require_instance(*this, object, type);
    return std::move(object);
}
template <class T> T *token::checked_cast(object_arg object, object_arg type) const {
    detail::require_instance(*this, object, type);
    return reinterpret_cast<T *>(object.get());
}
#endif

} // namespace abi1
} // namespace pyattach
#endif
