/* No-drain scope: while it is open, an attach of this thread releases no references from the pool. */
#ifndef PYATTACH_DETAIL_NO_DRAIN_SCOPE_HPP
#define PYATTACH_DETAIL_NO_DRAIN_SCOPE_HPP

#include "cpp17.hpp"

#include "../mutex.h"

namespace pyattach {
inline namespace abi1 {
namespace detail {

/* Locks a pyattach_mutex of its own, which no other thread can wait for. The library does not drain the pool on a
 * thread that holds one of its mutexes, so no destructor of Python's runs while the caller holds a lock of its own. */
class no_drain_scope {
  public:
    no_drain_scope() noexcept { pyattach_mutex_lock(&mutex_); }
    ~no_drain_scope() { pyattach_mutex_unlock(&mutex_); }
    no_drain_scope(const no_drain_scope &) = delete;
    no_drain_scope &operator=(const no_drain_scope &) = delete;

  private:
    pyattach_mutex mutex_{};
};

} // namespace detail
} // namespace abi1
} // namespace pyattach
#endif
