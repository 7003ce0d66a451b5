/* Misuse: mistakes that the C++ API detects itself. */
#ifndef PYATTACH_DETAIL_MISUSE_HPP
#define PYATTACH_DETAIL_MISUSE_HPP

#include "cpp17.hpp"

#include <cstdio>
#include <cstdlib>

namespace pyattach {
inline namespace abi1 {
namespace detail {

/* Writes three sentences to standard error, as the library itself does, and aborts: what happened, which rule it broke,
 * what to do instead. */
[[noreturn]] inline void misuse(const char *what, const char *rule, const char *instead) noexcept {
    std::fprintf(stderr, "libpyattach: misuse: %s %s %s\n", what, rule, instead);
    std::fflush(stderr);
    std::abort();
}

} // namespace detail
} // namespace abi1
} // namespace pyattach
#endif
