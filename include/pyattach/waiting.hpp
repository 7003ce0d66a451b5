/* Waiting: for locks, threads and conditions of the standard library, without keeping others out of Python. */
#ifndef PYATTACH_WAITING_HPP
#define PYATTACH_WAITING_HPP

#include "detail/cpp17.hpp"

#include <functional>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <utility>

#include "detached.hpp"
#include "detail/no_drain_scope.hpp"
#include "error.hpp"
#include "token.hpp"

namespace pyattach {
inline namespace abi1 {
namespace detail {

/* Has tried once already. OK with the lock held, or a refusal without it. */
template <class Lock> pyattach_status wait_for_lock(token py, Lock &held) {
    if (held.owns_lock())
        return PYATTACH_OK;
    no_drain_scope no_drain;
    detached gap{std::nothrow, py};
    if (!gap)
        return gap.status();
    held.lock();
    pyattach_status status = gap.resume();
    if (status != PYATTACH_OK)
        held.unlock(); /* others may still need it, and this thread has to go */
    return status;
}

} // namespace detail

/* Locks any mutex that has try_lock: at once if it is free, else detached while it waits. Never lock one plainly while
 * attached: its owner may be waiting for Python. (pyattach::mutex does this by itself.) FINALIZING, thrown or seen by
 * owns_lock() being false: the interpreter ended meanwhile; the mutex is not locked, the thread not attached. Holding
 * it, coming back releases nothing from the pool. */
#if defined(__cpp_exceptions)
template <class Mutex> [[nodiscard]] std::unique_lock<Mutex> lock_detached(token py, Mutex &mutex) {
    std::unique_lock<Mutex> held(mutex, std::try_to_lock);
    detail::throw_unless_ok(detail::wait_for_lock(py, held));
    return held;
}
/* The same for reading, with any mutex that has try_lock_shared. */
template <class Mutex> [[nodiscard]] std::shared_lock<Mutex> lock_shared_detached(token py, Mutex &mutex) {
    std::shared_lock<Mutex> held(mutex, std::try_to_lock);
    detail::throw_unless_ok(detail::wait_for_lock(py, held));
    return held;
}
#endif
/* Their twins: the lock returned owns nothing if the thread could not come back. */
template <class Mutex> [[nodiscard]] std::unique_lock<Mutex> lock_detached(std::nothrow_t, token py, Mutex &mutex) {
    std::unique_lock<Mutex> held(mutex, std::try_to_lock);
    detail::wait_for_lock(py, held);
    return held;
}
template <class Mutex>
[[nodiscard]] std::shared_lock<Mutex> lock_shared_detached(std::nothrow_t, token py, Mutex &mutex) {
    std::shared_lock<Mutex> held(mutex, std::try_to_lock);
    detail::wait_for_lock(py, held);
    return held;
}

/* Joins a thread (anything with join()), detached: it may need Python to get to its end. FINALIZING: joined, but not
 * attached. */
template <class Thread> [[nodiscard]] pyattach_status join_detached(std::nothrow_t, token py, Thread &thread) {
    detached gap{std::nothrow, py};
    if (gap)
        thread.join();
    return gap.resume();
}
#if defined(__cpp_exceptions)
template <class Thread> void join_detached(token py, Thread &thread) {
    detail::throw_unless_ok(join_detached(std::nothrow, py, thread));
}
#endif

/* Waits until `condition()` holds, as changed.wait(held, condition): at once if it holds already, else detached. So the
 * condition must leave Python alone. FINALIZING: the interpreter ended meanwhile; `held` was unlocked, and the thread
 * is not attached. */
template <class Changed, class Lock, class Condition> [[nodiscard]] pyattach_status
wait_detached(std::nothrow_t, token py, Changed &changed, Lock &held, Condition condition) {
    if (condition())
        return PYATTACH_OK;
    detail::no_drain_scope no_drain;
    detached gap{std::nothrow, py};
    if (!gap)
        return gap.status();
    changed.wait(held, std::ref(condition));
    pyattach_status status = gap.resume();
    if (status != PYATTACH_OK)
        held.unlock();
    return status;
}
#if defined(__cpp_exceptions)
template <class Changed, class Lock, class Condition>
void wait_detached(token py, Changed &changed, Lock &held, Condition condition) {
    detail::throw_unless_ok(wait_detached(std::nothrow, py, changed, held, std::ref(condition)));
}
#endif

} // namespace abi1
} // namespace pyattach
#endif
