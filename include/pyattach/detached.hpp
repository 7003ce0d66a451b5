/* Detached: others may run Python while this thread computes or waits, until the scope ends. */
#ifndef PYATTACH_DETACHED_HPP
#define PYATTACH_DETACHED_HPP

#include "detail/cpp17.hpp"

#include <new>

#include "detached.h"
#include "detail/park.hpp"
#include "detail/stack_only.hpp"
#include "error.hpp"
#include "token.hpp"

namespace pyattach {
inline namespace abi1 {

/* What pyattach_detached_begin and _end do, for the life of a block:
 *
 *     detached gap{py};                    lets go, or throws error (inside tp_traverse, or without memory)
 *     detached gap{std::nothrow, py};      lets go, or `if (gap)` is false and gap.status() says why
 *
 * Inside, neither `py` nor any borrowed is to be used, which only py.detach() can check. The end attaches again: it may
 * block, and may run the destructors of references that wait in the pool. Where the interpreter may end meanwhile, end
 * the scope with resume() and unwind if it refuses. The destructor cannot refuse: as the code around it believes to be
 * attached, it parks the thread for ever then. A parked thread does not hold the exit up. */
class [[nodiscard]] detached : detail::stack_only {
  public:
    /* See above. The token says that the thread is attached. */
#if defined(__cpp_exceptions)
    [[nodiscard]] explicit detached(token py) : detached(std::nothrow, py) { detail::throw_unless_ok(status_); }
#endif
    [[nodiscard]] detached(std::nothrow_t, token) noexcept
        : status_(pyattach_detached_begin(&scope_)), is_open_(status_ == PYATTACH_OK) {}

    ~detached() {
        if (is_open_ && resume() != PYATTACH_OK)
            detail::park();
    }

    /* Whether the thread is detached by this scope. */
    explicit operator bool() const noexcept { return is_open_; }
    /* Of the last attempt to let go or to come back. */
    pyattach_status status() const noexcept { return status_; }

    /* Attaches again, once; the destructor then does nothing. OK; FINALIZING: not attached and never will be, so return
     * through the scopes around this one, which are inert, without calling Python. Called again, returns the same
     * again. */
    [[nodiscard]] pyattach_status resume() noexcept {
        if (is_open_) {
            is_open_ = false;
            status_ = pyattach_detached_end(&scope_);
        }
        return status_;
    }

  private:
    pyattach_detached scope_;
    pyattach_status status_;
    bool is_open_;
};

} // namespace abi1
} // namespace pyattach
#endif
