/* Attached: the calling thread may call Python until the scope ends. */
#ifndef PYATTACH_ATTACHED_HPP
#define PYATTACH_ATTACHED_HPP

#include "detail/cpp17.hpp"

#include <new>
#include <type_traits>
#include <utility>

#include "attached.h"
#include "detail/stack_only.hpp"
#include "error.hpp"
#include "token.hpp"

namespace pyattach {
inline namespace abi1 {

/* The tag for "without asking whether the interpreter is usable": see pyattach_attached_begin_unchecked. */
struct unchecked_t {
    explicit unchecked_t() = default;
};
inline constexpr unchecked_t unchecked{};

/* The tag for "no foreign code runs on the way in": see pyattach_attach_options. */
struct no_drain_t {
    explicit no_drain_t() = default;
};
inline constexpr no_drain_t no_drain{};

/* What pyattach_attached_begin and its variants do, for the duration of a block:
 *
 *     attached here;                       attaches, or throws error
 *     attached here{std::nothrow};         attaches, or `if (here)` is false and here.status() is the reason
 *     attached here{interpreter};          in that interpreter; a thread attached to another one is switched over
 *     attached here{unchecked};            while Python starts or ends
 *     attached here{no_drain};             while the thread holds a lock that a destructor may take (see docs/locks.md)
 *     attached here{"label"};              named in the message about an exit that waits for this thread
 *     attached here{no_drain, "label"};
 *     attached here{options};              a pyattach_attach_options
 *     auto here = attached::assume();      in a function that Python called
 *     auto here = attached::assume(std::nothrow);
 *
 * May block and may run Python code, at the begin and at the end, as the C functions do (see attached.h). Blocks end
 * innermost first, and so do their scopes. A scope that is ended by hand while a scope that attached or detached is
 * open inside it aborts; only nested scopes may end in any order. */
class [[nodiscard]] attached : detail::stack_only {
  public:
#if defined(__cpp_exceptions)
    /* These throw error where attaching is refused. `interpreter` must not be NULL. */
    [[nodiscard]] attached() : attached(std::nothrow) { detail::throw_unless_ok(status_); }
    [[nodiscard]] explicit attached(pyattach_interpreter *interpreter) : attached(std::nothrow, interpreter) {
        detail::throw_unless_ok(status_);
    }
    [[nodiscard]] explicit attached(unchecked_t) : attached(std::nothrow, unchecked) {
        detail::throw_unless_ok(status_);
    }
    [[nodiscard]] explicit attached(const pyattach_attach_options &options) : attached(std::nothrow, options) {
        detail::throw_unless_ok(status_);
    }
    /* `label` outlives the scope. */
    [[nodiscard]] explicit attached(const char *label) : attached(std::nothrow, label) {
        detail::throw_unless_ok(status_);
    }
    [[nodiscard]] explicit attached(no_drain_t, const char *label = nullptr)
        : attached(std::nothrow, pyattach::no_drain, label) {
        detail::throw_unless_ok(status_);
    }
    static attached assume() { return attached(assumed()); }
#endif
    /* These do not throw: test the scope, or status(). */
    [[nodiscard]] explicit attached(std::nothrow_t) noexcept : status_(pyattach_attached_begin(&scope_)) {}
    [[nodiscard]] attached(std::nothrow_t, pyattach_interpreter *interpreter) noexcept
        : status_(pyattach_attached_begin_in(&scope_, interpreter)) {}
    [[nodiscard]] attached(std::nothrow_t, unchecked_t) noexcept
        : status_(pyattach_attached_begin_unchecked(&scope_)) {}
    [[nodiscard]] attached(std::nothrow_t, const pyattach_attach_options &options) noexcept
        : status_(pyattach_attached_begin_with(&scope_, &options)) {}
    [[nodiscard]] attached(std::nothrow_t, const char *label) noexcept
        : attached(std::nothrow, pyattach_attach_options{sizeof(pyattach_attach_options), nullptr, 0, label}) {}
    [[nodiscard]] attached(std::nothrow_t, no_drain_t, const char *label = nullptr) noexcept
        : attached(std::nothrow, pyattach_attach_options{sizeof(pyattach_attach_options), nullptr, 1, label}) {}
    static attached assume(std::nothrow_t) noexcept { return attached(std::nothrow, assumed()); }

    ~attached() { end(); }

    /* Whether this scope is open: it was not refused, and was not ended by hand. */
    explicit operator bool() const noexcept { return status_ == PYATTACH_OK; }
    /* The status of the begin; PYATTACH_NOT_ATTACHED after end(). */
    pyattach_status status() const noexcept { return status_; }

    /* The proof that the thread is attached. Requires that the scope is open; unless NDEBUG is defined, aborts if it is
     * not. */
    pyattach::token token() const noexcept {
#if !defined(NDEBUG)
        if (status_ != PYATTACH_OK)
            detail::misuse("attached::token: this scope was refused, or has ended.",
                           "A token comes from a scope that attached.", "Ask `if (here)` first.");
#endif
        return pyattach::token();
    }

    /* Ends the scope before its block ends; the destructor then does nothing. May block and may run Python code, as
     * pyattach_attached_end. */
    void end() noexcept {
        if (status_ != PYATTACH_OK)
            return;
        pyattach_attached_end(&scope_);
        status_ = PYATTACH_NOT_ATTACHED;
    }

  private:
    struct assumed {};
#if defined(__cpp_exceptions)
    explicit attached(assumed) : attached(std::nothrow, assumed()) { detail::throw_unless_ok(status_); }
#endif
    attached(std::nothrow_t, assumed) noexcept : status_(pyattach_attached_assume(&scope_)) {}

    pyattach_attached scope_;
    pyattach_status status_;
};

namespace detail {

/* A token or a borrowed is valid only while the thread is attached. */
template <class T> inline constexpr bool needs_attachment =
    std::is_base_of_v<token, std::decay_t<T>> || std::is_base_of_v<borrowed, std::decay_t<T>>;

} // namespace detail

/* Calls `function(token)` in an attached scope and returns its result. Throws error if attaching is refused. */
#if defined(__cpp_exceptions)
template <class Function> decltype(auto) with_attached(Function &&function) {
    static_assert(!detail::needs_attachment<std::invoke_result_t<Function, token>>,
                  "with_attached: a token or a borrowed is of no use once the scope has ended; return an owned");
    attached here;
    return std::forward<Function>(function)(here.token());
}
#endif

/* The same for functions that return nothing. Returns PYATTACH_OK, or the status with which attaching was refused; then
 * `function` was not called. */
template <class Function> [[nodiscard]] pyattach_status with_attached(std::nothrow_t, Function &&function) {
    static_assert(std::is_void_v<std::invoke_result_t<Function, token>>,
                  "with_attached: this form returns the status; let the function return nothing");
    attached here{std::nothrow};
    if (here)
        std::forward<Function>(function)(here.token());
    return here.status();
}

} // namespace abi1
} // namespace pyattach
#endif
