/* What all scopes of the C++ face have in common. */
#ifndef PYATTACH_DETAIL_SCOPE_HPP
#define PYATTACH_DETAIL_SCOPE_HPP

#include "cpp17.hpp"

#include <cstddef>
#include <pthread.h>
#include <unistd.h>

#include "../base.h"

namespace pyattach {
inline namespace abi1 {
namespace detail {

/* A scope is its address: CPython and this library link open ones by address, and they end innermost first on the
 * thread that began them. So they are not copied, moved, or made with `new`; returned from a function they are made in
 * place. */
class scope_in_automatic_storage {
  public:
    scope_in_automatic_storage(const scope_in_automatic_storage &) = delete;
    scope_in_automatic_storage &operator=(const scope_in_automatic_storage &) = delete;
    static void *operator new(std::size_t) = delete;
    static void *operator new[](std::size_t) = delete;

  protected:
    scope_in_automatic_storage() = default;
    ~scope_in_automatic_storage() = default;
};

/* For a thread that can neither go on nor be ended: its interpreter is gone, and code around it believes to be
 * attached. */
[[noreturn]] inline void park() noexcept {
    /* pthread_cancel would unwind through noexcept frames, and so end the process. */
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    for (;;)
        pause();
}

} // namespace detail
} // namespace abi1
} // namespace pyattach
#endif
