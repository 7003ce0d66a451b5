/* Forbidden: a tp_traverse function runs on this thread until the scope ends. */
#ifndef PYATTACH_FORBIDDEN_HPP
#define PYATTACH_FORBIDDEN_HPP

#include "detail/cpp17.hpp"

#include <type_traits>
#include <utility>

#include "detail/stack_only.hpp"
#include "forbidden.h"
#include "token.hpp"

namespace pyattach {
inline namespace abi1 {

/* Stands at the top of a tp_traverse function. Inside the scope attaching and detaching are refused, and references
 * given back are queued in the pool. Does not block and runs no Python code. */
class [[nodiscard]] forbidden : detail::stack_only {
  public:
    /* Begins the scope, which ends with the block. Forbidden scopes nest. */
    [[nodiscard]] forbidden() noexcept { pyattach_forbidden_begin(&scope_); }
    ~forbidden() { pyattach_forbidden_end(&scope_); }

  private:
    pyattach_forbidden scope_;
};

/* The body of a tp_traverse function: calls `visit` in a forbidden scope and returns its result, a visitor's non-zero
 * result included. An exception must not pass through the garbage collector: it becomes -1. */
template <class Function> int during_traverse(Function &&visit) noexcept {
    static_assert(
        !std::is_invocable_v<Function, token>,
        "during_traverse: while the collector traverses no object may be used, so there is no token to be had");
    forbidden here;
#if defined(__cpp_exceptions)
    try {
        return std::forward<Function>(visit)();
    } catch (...) {
        return -1;
    }
#else
    return std::forward<Function>(visit)();
#endif
}

} // namespace abi1
} // namespace pyattach
#endif
