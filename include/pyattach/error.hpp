/* Error: a status other than PYATTACH_OK, as an exception. */
#ifndef PYATTACH_ERROR_HPP
#define PYATTACH_ERROR_HPP

#include "detail/cpp17.hpp"

#include <exception>

#include "base.h"

namespace pyattach {
/* The C++ API is compiled into its users. The inline namespace has a number, which grows with incompatible changes, so
 * that two users in one process that were compiled with different numbers do not share inline functions. */
inline namespace abi1 {

/* Thrown by every function that is not a nothrow overload; the base of all exceptions of the C++ API. With
 * -fno-exceptions only the nothrow overloads exist, and they are unchanged. The class has default visibility, so that
 * it can be caught in another shared object. */
class PYATTACH_VISIBLE error : public std::exception {
  public:
    /* Made from a status other than PYATTACH_OK. */
    explicit error(pyattach_status status) noexcept : status_(status) {}

    /* The status. If it is PYATTACH_PYTHON_ERROR, this is a python_error. */
    pyattach_status status() const noexcept { return status_; }
    /* One English sentence about the status, valid for ever. */
    const char *what() const noexcept override { return pyattach_status_message(status_); }

  private:
    pyattach_status status_;
};

#if defined(__cpp_exceptions)
namespace detail {

inline void throw_unless_ok(pyattach_status status) {
    if (status != PYATTACH_OK)
        throw error(status);
}

} // namespace detail
#endif

} // namespace abi1
} // namespace pyattach
#endif
