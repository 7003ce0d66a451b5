/* Warm thread states: prepared before the first attach. */
#ifndef PYATTACH_WARM_STATE_HPP
#define PYATTACH_WARM_STATE_HPP

#include "detail/cpp17.hpp"

#include <new>

#include "error.hpp"
#include "warm_state.h"

namespace pyattach {
inline namespace abi1 {

/* What pyattach_thread_prepare does: makes this thread's thread state without attaching. Throws error where that is
 * refused; the nothrow overload returns the status. */
#if defined(__cpp_exceptions)
inline void prepare_thread() { detail::throw_unless_ok(pyattach_thread_prepare()); }
#endif
[[nodiscard]] inline pyattach_status prepare_thread(std::nothrow_t) noexcept { return pyattach_thread_prepare(); }

} // namespace abi1
} // namespace pyattach
#endif
