/* Stack only: the base class of every scope of the C++ API. */
#ifndef PYATTACH_DETAIL_STACK_ONLY_HPP
#define PYATTACH_DETAIL_STACK_ONLY_HPP

#include "cpp17.hpp"

#include <cstddef>

namespace pyattach {
inline namespace abi1 {
namespace detail {

/* A scope is identified by its address: CPython and this library link open scopes by address, and scopes end innermost
 * first on the thread that began them. So a scope is not copied, moved or allocated with `new`. A function that returns
 * one constructs it in the storage of the caller (guaranteed copy elision of C++17). */
class stack_only {
  public:
    stack_only(const stack_only &) = delete;
    stack_only &operator=(const stack_only &) = delete;
    static void *operator new(std::size_t) = delete;
    static void *operator new[](std::size_t) = delete;

  protected:
    stack_only() = default;
    ~stack_only() = default;
};

} // namespace detail
} // namespace abi1
} // namespace pyattach
#endif
