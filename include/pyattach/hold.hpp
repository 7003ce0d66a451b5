/* Hold: the end of an interpreter waits while the object lives. */
#ifndef PYATTACH_HOLD_HPP
#define PYATTACH_HOLD_HPP

#include "detail/cpp17.hpp"

#include <new>

#include "error.hpp"
#include "hold.h"

namespace pyattach {
inline namespace abi1 {

/* What pyattach_hold_begin and pyattach_hold_end do, for the lifetime of an object:
 *
 *     hold open{"flush"};                                  of the main interpreter; throws error if it is refused
 *     hold open{interpreter, "flush"};                     of that interpreter; NULL: the main one
 *     hold open{std::nothrow, interpreter, "flush"};       or `if (open)` is false and open.status() is the reason
 *
 * It does not belong to a thread: it may be a member of an object that one thread makes and another destroys, as a job
 * in a queue. `label` is copied, up to 31 bytes, and may be NULL. May block and may run Python code where
 * pyattach_hold_begin does. */
class [[nodiscard]] hold {
  public:
#if defined(__cpp_exceptions)
    /* These throw error where the hold is refused. */
    [[nodiscard]] explicit hold(const char *label = nullptr) : hold(std::nothrow, nullptr, label) {
        detail::throw_unless_ok(status_);
    }
    [[nodiscard]] explicit hold(pyattach_interpreter *interpreter, const char *label = nullptr)
        : hold(std::nothrow, interpreter, label) {
        detail::throw_unless_ok(status_);
    }
#endif
    /* These do not throw: test the hold, or status(). */
    [[nodiscard]] explicit hold(std::nothrow_t, const char *label = nullptr) noexcept
        : hold(std::nothrow, static_cast<pyattach_interpreter *>(nullptr), label) {}
    [[nodiscard]] hold(std::nothrow_t, pyattach_interpreter *interpreter, const char *label = nullptr) noexcept
        : status_(pyattach_hold_begin(&hold_, interpreter, label)) {}
    hold(const hold &) = delete;
    hold &operator=(const hold &) = delete;

    ~hold() { end(); }

    /* Whether the hold is open: it was not refused, and was not ended by hand. */
    explicit operator bool() const noexcept { return status_ == PYATTACH_OK; }
    /* The status of the begin; PYATTACH_INVALID after end(). */
    pyattach_status status() const noexcept { return status_; }

    /* Ends the hold before the object is destroyed; the destructor then does nothing. Not on two threads at once. */
    void end() noexcept {
        if (status_ != PYATTACH_OK)
            return;
        status_ = PYATTACH_INVALID;
        pyattach_hold_end(&hold_);
    }

  private:
    pyattach_hold hold_;
    pyattach_status status_;
};

} // namespace abi1
} // namespace pyattach
#endif
