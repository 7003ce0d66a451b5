/* Detach-safe: which types may be handed to a function that runs detached. */
#ifndef PYATTACH_DETACH_SAFE_HPP
#define PYATTACH_DETACH_SAFE_HPP

#include "detail/cpp17.hpp"

#include <cstddef>
#include <type_traits>

#include "python_error.hpp"
#include "synchronized.hpp"

struct _typeobject; /* CPython's name for PyTypeObject */

namespace pyattach {
inline namespace abi1 {

class arena_token;
template <class T> class attached_only;
template <class Signature, class Policy> class callback_function;

namespace detail {

/* The type that a pointer, or a pointer to pointers, refers to. */
template <class T> struct pointee { using type = std::remove_cv_t<T>; };
template <class T> struct pointee<T *> : pointee<T> {};
template <class T> struct pointee<T *const> : pointee<T> {};
template <class T> struct pointee<T *volatile> : pointee<T> {};
template <class T> struct pointee<T *const volatile> : pointee<T> {};
template <class T> struct pointee<T[]> : pointee<T> {};
template <class T, std::size_t count> struct pointee<T[count]> : pointee<T> {};

/* A pointer may refer to anything but Python objects and proofs that the thread is attached. */
template <class T> struct is_safe_pointee : std::true_type {};
template <> struct is_safe_pointee<struct ::_object> : std::false_type {};
template <> struct is_safe_pointee<struct ::_typeobject> : std::false_type {};
template <> struct is_safe_pointee<token> : std::false_type {};
template <> struct is_safe_pointee<arena_token> : std::false_type {};
template <> struct is_safe_pointee<borrowed> : std::false_type {};

template <class T, bool is_array> struct is_safe_scalar;

} // namespace detail

/* Whether a T may be passed to a detached thread: it is no proof of being attached, and gives access to a Python object
 * through an owned only. Numbers, enumerations, and pointers, except to a PyObject, are safe. Class types are refused
 * unless they are listed, because the compiler cannot inspect their members. The standard library's are listed in
 * detail/detach_safe_std.hpp. To declare a class of your own safe:
 *
 *     template <> struct pyattach::detach_safe<job> : std::true_type {}; */
template <class T> struct detach_safe : detail::is_safe_scalar<T, std::is_array_v<T>> {};
template <class T> struct detach_safe<const T> : detach_safe<T> {};
template <class T> struct detach_safe<volatile T> : detach_safe<T> {};
template <class T> struct detach_safe<const volatile T> : detach_safe<T> {};
template <class T> struct detach_safe<T *> : detail::is_safe_pointee<typename detail::pointee<T>::type> {};
/* A reference is refused: sharing an object with a detached function is written explicitly, with std::ref. */
template <class T> struct detach_safe<T &> : std::false_type {};
template <class T> struct detach_safe<T &&> : std::false_type {};

namespace detail {

template <class T> struct is_safe_scalar<T, false>
    : std::bool_constant<std::is_arithmetic_v<T> || std::is_enum_v<T> || std::is_null_pointer_v<T> ||
                         std::is_member_pointer_v<T> || std::is_function_v<T>> {};
template <class T> struct is_safe_scalar<T, true> : detach_safe<std::remove_all_extents_t<T>> {};

} // namespace detail

/* Classes of this library that are safe. */
template <> struct detach_safe<owned> : std::true_type {};
template <> struct detach_safe<shared_owned> : std::true_type {};
template <class T> struct detach_safe<attached_only<T>> : std::true_type {};
template <class Signature, class Policy> struct detach_safe<callback_function<Signature, Policy>> : std::true_type {};
template <> struct detach_safe<error> : std::true_type {};
template <> struct detach_safe<python_error> : std::true_type {};
template <> struct detach_safe<mutex> : std::true_type {};
template <class T> struct detach_safe<synchronized<T>> : detach_safe<T> {};

} // namespace abi1
} // namespace pyattach

#include "detail/detach_safe_std.hpp"

#endif
