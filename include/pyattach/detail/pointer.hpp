/* Pointers: conversion of results of Python's C API to owned and borrowed. The contracts stand in token.hpp. */
#ifndef PYATTACH_DETAIL_POINTER_HPP
#define PYATTACH_DETAIL_POINTER_HPP

#include "cpp17.hpp"

#include <optional>

#include "../owned.hpp"
#include "../python_error.hpp"
#include "../token.hpp"

namespace pyattach {
inline namespace abi1 {

inline std::optional<owned> token::from_owned_ptr_or_opt(struct ::_object *object) const noexcept {
    if (!object)
        return std::nullopt;
    return owned::steal(*this, object);
}
inline std::optional<borrowed> token::from_borrowed_ptr_or_opt(struct ::_object *object) const noexcept {
    if (!object)
        return std::nullopt;
    return borrowed(*this, object);
}

#if defined(__cpp_exceptions)
inline owned token::from_owned_ptr_or_err(struct ::_object *object) const {
    if (!object)
        throw python_error(*this);
    return owned::steal(*this, object);
}
inline owned token::from_owned_ptr(struct ::_object *object) const { return from_owned_ptr_or_err(object); }
inline borrowed token::from_borrowed_ptr_or_err(struct ::_object *object) const {
    if (!object)
        throw python_error(*this);
    return borrowed(*this, object);
}
inline borrowed token::from_borrowed_ptr(struct ::_object *object) const { return from_borrowed_ptr_or_err(object); }
#endif

} // namespace abi1
} // namespace pyattach
#endif
