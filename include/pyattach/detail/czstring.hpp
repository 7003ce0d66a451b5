/* Czstring: a text that ends with a NUL, as functions of the C++ API accept it. */
#ifndef PYATTACH_DETAIL_CZSTRING_HPP
#define PYATTACH_DETAIL_CZSTRING_HPP

#include "cpp17.hpp"

#include <cstring>
#include <string>

#include "annotations.hpp"

namespace pyattach {
inline namespace abi1 {

/* The type of a parameter that accepts a text that ends with a NUL: a literal, another `const char *` that is not NULL,
 * or a std::string. (A std::string_view need not end with a NUL.) It borrows the text for the duration of the call. */
class czstring {
  public:
    /* Both conversions are implicit. */
    czstring(const char *text) noexcept : text_(text), has_inner_nul_(false) {}
    czstring(const std::string &text PYATTACH_LIFETIME_BOUND) noexcept
        : text_(text.c_str()), has_inner_nul_(std::strlen(text.c_str()) != text.size()) {}

    /* The text, up to its first NUL. */
    const char *get() const noexcept { return text_; }
    /* Whether the text has a NUL inside, which C functions would take for its end. */
    bool has_inner_nul() const noexcept { return has_inner_nul_; }

  private:
    const char *text_;
    bool has_inner_nul_;
};

} // namespace abi1
} // namespace pyattach
#endif
