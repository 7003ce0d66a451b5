/* Detached: other threads may run Python while this thread computes or waits, until the scope ends. */
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

/* What pyattach_detached_begin and pyattach_detached_end do, for the duration of a block:
 *
 *     detached gap{py};                    detaches, or throws error (inside tp_traverse, or without memory)
 *     detached gap{std::nothrow, py};      detaches, or `if (gap)` is false and gap.status() is the reason
 *
 * Inside, neither `py` nor any borrowed may be used; only py.detach() can check that. The end attaches the thread
 * again: it may block, and may run the destructors of references that wait in the pool. Where the interpreter may end
 * meanwhile, end the scope with resume(), and unwind if it is refused. The destructor has no way to refuse, and the
 * code around it assumes that the thread is attached; so it parks the thread for ever then. The end of an interpreter
 * does not wait for a parked thread. */
class [[nodiscard]] detached : detail::stack_only {
  public:
    /* Begins the scope. The token proves that the thread is attached. */
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
    /* The status of the begin, or of resume() once that was called. */
    pyattach_status status() const noexcept { return status_; }

    /* Attaches the thread again, once; the destructor then does nothing. May block and may run Python code. Called
     * again, returns the same status again.
     *
     * PYATTACH_OK: the thread is attached.
     * PYATTACH_FINALIZING: the interpreter ended meanwhile, and the thread cannot be attached to it again. The scopes
     *   around this one are inert: the caller returns through them without calling Python.
     * PYATTACH_UNSUPPORTED: the same in the child of a raw fork() (see pyattach_detached_end). */
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

/* The same for a whole function that pybind11 or nanobind binds. It takes the token by itself, since Python calls such
 * a function on an attached thread only:
 *
 *     module.def("crunch", crunch, py::call_guard<pyattach::detached_guard>());
 *
 * The arguments are converted before it, and the result after it. The function itself must not use Python. Throws error
 * where detaching is refused; with -fno-exceptions the thread stays attached then. The end may block and may run Python
 * code, and parks the thread if the interpreter has ended, as that of a detached scope does. */
class [[nodiscard]] detached_guard : detail::stack_only {
  public:
    /* Begins the scope. Unless NDEBUG is defined, a thread that is not attached aborts. */
#if defined(__cpp_exceptions)
    detached_guard() : gap_(token::assume()) {}
#else
    detached_guard() noexcept : gap_(std::nothrow, token::assume()) {}
#endif

  private:
    detached gap_;
};

} // namespace abi1
} // namespace pyattach
#endif
