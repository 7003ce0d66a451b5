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

/* At the top of a tp_traverse function: inside, attaching and detaching are refused, and references given back wait in
 * the pool. */
class [[nodiscard]] forbidden : detail::stack_only {
  public:
    /* Until the end of the block. They nest. */
    [[nodiscard]] forbidden() noexcept { pyattach_forbidden_begin(&scope_); }
    ~forbidden() { pyattach_forbidden_end(&scope_); }

  private:
    pyattach_forbidden scope_;
};

/* The body of a tp_traverse function: returns what `visit` returns, a visitor's non-zero result included. An exception
 * must not pass through the collector: it becomes -1. */
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
