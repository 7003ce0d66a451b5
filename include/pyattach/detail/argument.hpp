/* Arguments: what functions of the C++ face accept for an object and for a text. */
#ifndef PYATTACH_DETAIL_ARGUMENT_HPP
#define PYATTACH_DETAIL_ARGUMENT_HPP

#include "cpp17.hpp"

#include <cstddef>
#include <cstring>
#include <string>

#include "../base.h"
#include "annotations.hpp"

namespace pyattach {
inline namespace abi1 {

class borrowed;
class owned;

/* Any form of a Python object, for the duration of a call: no reference is taken. For parameters only. */
class any_object {
  public:
    /* Made without a word from a pointer (NULL where that is allowed), a borrowed, or an owned that outlives the call.
     */
    any_object(struct ::_object *object) noexcept : object_(object) {}
    any_object(borrowed object) noexcept;
    any_object(const owned &object PYATTACH_LIFETIME_BOUND) noexcept;

    /* The pointer; may be NULL. */
    struct ::_object *get() const noexcept {
        return object_;
    }

  private:
    struct ::_object *object_;
};

/* A text that ends with a NUL, for the duration of a call: a literal, another `const char *` that is not NULL, or a
 * std::string. (A std::string_view need not end with one.) For parameters only. */
class terminated_text {
  public:
    /* Made without a word from either. */
    terminated_text(const char *text) noexcept : text_(text), has_inner_nul_(false) {}
    terminated_text(const std::string &text PYATTACH_LIFETIME_BOUND) noexcept
        : text_(text.c_str()), has_inner_nul_(std::strlen(text.c_str()) != text.size()) {}

    /* The text, up to its first NUL. */
    const char *get() const noexcept { return text_; }
    /* C would take such a text for a shorter one. */
    bool has_inner_nul() const noexcept { return has_inner_nul_; }

  private:
    const char *text_;
    bool has_inner_nul_;
};

} // namespace abi1
} // namespace pyattach
#endif
