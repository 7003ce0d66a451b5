/* Waiting: for locks, threads and conditions of the standard library, without keeping other threads out of Python. */
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

/* Waits for the lock unless it is held already. PYATTACH_OK: the lock is held; any other status: it is not. */
template <class Lock> pyattach_status wait_for_lock(token py, Lock &held) {
    if (held.owns_lock())
        return PYATTACH_OK;
    no_drain_scope without_drain;
    detached gap{std::nothrow, py};
    if (!gap)
        return gap.status();
    held.lock();
    pyattach_status status = gap.resume();
    if (status != PYATTACH_OK)
        held.unlock(); /* other threads may still need it, and this thread unwinds */
    return status;
}

} // namespace detail

/* Locks any mutex that has try_lock: at once if it is free, else after a wait in a detached scope. (An attached thread
 * that locks such a mutex directly may deadlock, because the owner of the mutex may be waiting for Python.
 * pyattach::mutex detaches by itself.) May block. While the thread attaches again with the lock held, no references are
 * released from the pool. Throws error with PYATTACH_FINALIZING if the interpreter ended meanwhile: then the mutex is
 * not locked, and the thread is not attached. */
#if defined(__cpp_exceptions)
template <class Mutex> [[nodiscard]] std::unique_lock<Mutex> lock_detached(token py, Mutex &mutex) {
    std::unique_lock<Mutex> held(mutex, std::try_to_lock);
    detail::throw_unless_ok(detail::wait_for_lock(py, held));
    return held;
}
/* The same for a shared lock, with any mutex that has try_lock_shared. */
template <class Mutex> [[nodiscard]] std::shared_lock<Mutex> lock_shared_detached(token py, Mutex &mutex) {
    std::shared_lock<Mutex> held(mutex, std::try_to_lock);
    detail::throw_unless_ok(detail::wait_for_lock(py, held));
    return held;
}
#endif
/* The nothrow overloads: owns_lock() of the result is false where the others throw. */
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

/* Joins a thread (any object with join()) in a detached scope, because that thread may need Python to end. May block,
 * and may run Python code when the thread attaches again: destructors of references in the pool.
 *
 * PYATTACH_OK: the thread was joined, and the calling thread is attached.
 * PYATTACH_FINALIZING: the thread was joined, but the interpreter ended, and the calling thread is not attached.
 * PYATTACH_UNSUPPORTED: as pyattach_detached_begin and pyattach_detached_end.
 * Any other status: detaching was refused, and the thread was not joined (see pyattach_detached_begin). */
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

/* Waits until `condition()` is true, as changed.wait(held, condition) does: returns at once if it is true already, else
 * waits in a detached scope. So `condition` must not use Python. May block.
 *
 * PYATTACH_OK: the condition is true, `held` is locked, and the thread is attached.
 * PYATTACH_FINALIZING: the interpreter ended meanwhile; `held` was unlocked, and the thread is not attached.
 * PYATTACH_UNSUPPORTED: as pyattach_detached_begin and pyattach_detached_end.
 * Any other status: detaching was refused, and nothing was waited for (see pyattach_detached_begin). */
template <class Changed, class Lock, class Condition> [[nodiscard]] pyattach_status
wait_detached(std::nothrow_t, token py, Changed &changed, Lock &held, Condition condition) {
    if (condition())
        return PYATTACH_OK;
    detail::no_drain_scope without_drain;
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
