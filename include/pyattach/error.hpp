/* Error: what the environment refused, as an exception. */
#ifndef PYATTACH_ERROR_HPP
#define PYATTACH_ERROR_HPP

#include "detail/cpp17.hpp"

#include <exception>

#include "base.h"

namespace pyattach {
/* The C++ face is code compiled into its users. The inline namespace counts its incompatible changes, so that two users
 * of one process, compiled with different ones, do not share functions that the linker takes for the same. */
inline namespace abi1 {

/* Thrown by every form that is not told std::nothrow; base of all exceptions of the C++ face. Compiled with
 * -fno-exceptions, the throwing forms are not there, and the others are the same. Default visibility: it may be caught
 * in another shared object. */
class PYATTACH_VISIBLE error : public std::exception {
  public:
    /* Of a status other than OK. */
    explicit error(pyattach_status status) noexcept : status_(status) {}

    /* Why; PYTHON_ERROR is a python_error. */
    pyattach_status status() const noexcept { return status_; }
    /* One English sentence. */
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
