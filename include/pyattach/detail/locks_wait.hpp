/* Locks wait: waits for one or several mutexes at once. */
#ifndef PYATTACH_DETAIL_LOCKS_WAIT_HPP
#define PYATTACH_DETAIL_LOCKS_WAIT_HPP

#include "cpp17.hpp"

#include <cstddef>
#include <mutex>
#include <tuple>
#include <type_traits>
#include <utility>

#include "interruptible_wait.hpp"
#include "no_drain_scope.hpp"
#include "timed_lock.hpp"

namespace pyattach {
inline namespace abi1 {

/* A lock, or a tuple of locks, and why it does not own its mutex. */
template <class Lock> struct lock_outcome {
    /* Owns its mutex if the status is PYATTACH_OK. */
    Lock lock;
    /* See locking.hpp. */
    pyattach_status status;
};

namespace detail {

template <class... Mutexes> using unique_locks = std::tuple<std::unique_lock<Mutexes>...>;

/* Waits for locks that own nothing yet. It waits for one of them while it holds none of the others, and then tries the
 * others. If one is not free, it unlocks all, and waits for that one next. So no thread waits for it in vain, whatever
 * the order in which it locks the same mutexes: std::lock does the same, but has no time limit. */
template <class... Locks> class locks_wait {
  public:
    static constexpr bool is_timed = (is_timed_lock<Locks> && ...);
    using drains = no_drain_scope; /* a destructor that the attach runs would run under the locks */

    explicit locks_wait(std::tuple<Locks...> &locks) noexcept : locks_(locks) {}

    /* Locks all that are not locked yet, if they are free. False: none is locked. */
    bool try_all() {
        std::size_t index = 0;
        bool are_free = true;
        const auto try_one = [&](auto &lock) {
            if (are_free && !lock.owns_lock() && !lock.try_lock()) {
                are_free = false;
                next_ = index;
            }
            ++index;
        };
        std::apply([&](auto &...lock) { (try_one(lock), ...); }, locks_);
        if (!are_free)
            unlock_all();
        return are_free;
    }
    template <class Deadline> bool lock_all(const Deadline &until) {
        do {
            if (!lock_next(until))
                return false;
        } while (!try_all());
        return true;
    }

    void wait() { lock_all(no_deadline()); }
    template <class Clock, class Duration> bool wait_until(const std::chrono::time_point<Clock, Duration> &until) {
        return lock_all(until);
    }
    void pause() noexcept {}
    bool finish() noexcept { return false; }
    void give_up() { unlock_all(); }

  private:
    template <class Deadline> bool lock_next(const Deadline &until) {
        std::size_t index = 0;
        bool is_locked = false;
        const auto lock_if_next = [&](auto &lock) {
            if (index++ == next_)
                is_locked = lock_until(lock, until);
        };
        std::apply([&](auto &...lock) { (lock_if_next(lock), ...); }, locks_);
        return is_locked;
    }
    void unlock_all() {
        const auto unlock_one = [](auto &lock) {
            if (lock.owns_lock())
                lock.unlock();
        };
        std::apply([&](auto &...lock) { (unlock_one(lock), ...); }, locks_);
    }

    std::tuple<Locks...> &locks_;
    std::size_t next_ = 0; /* of the one that was not free */
};

/* `where`: a token, or `anywhere`. */
template <class Where, class Deadline, class... Locks>
pyattach_status lock_locks(Where where, std::tuple<Locks...> &locks, const Deadline &until) {
    locks_wait<Locks...> wait(locks);
    return wait.try_all() ? PYATTACH_OK : wait_for(where, wait, until);
}
template <template <class> class Lock, class Where, class Mutex, class Deadline>
lock_outcome<Lock<Mutex>> lock_one(Where where, Mutex &mutex, const Deadline &until) {
    std::tuple<Lock<Mutex>> locks(Lock<Mutex>(mutex, std::defer_lock));
    pyattach_status status = lock_locks(where, locks, until);
    return {std::get<0>(std::move(locks)), status};
}
template <class Where, class... Mutexes>
lock_outcome<unique_locks<Mutexes...>> lock_all(Where where, Mutexes &...mutexes) {
    unique_locks<Mutexes...> locks(std::unique_lock<Mutexes>(mutexes, std::defer_lock)...);
    pyattach_status status = lock_locks(where, locks, no_deadline());
    return {std::move(locks), status};
}
#if defined(__cpp_exceptions)
template <template <class> class Lock, class Where, class Mutex, class Deadline>
Lock<Mutex> lock_or_throw(Where where, Mutex &mutex, const Deadline &until) {
    lock_outcome<Lock<Mutex>> outcome = lock_one<Lock>(where, mutex, until);
    has_come_in_time(outcome.status);
    return std::move(outcome.lock);
}
template <class Where, class... Mutexes> unique_locks<Mutexes...> lock_all_or_throw(Where where, Mutexes &...mutexes) {
    lock_outcome<unique_locks<Mutexes...>> outcome = lock_all(where, mutexes...);
    has_come_in_time(outcome.status);
    return std::move(outcome.lock);
}
#endif

} // namespace detail
} // namespace abi1
} // namespace pyattach
#endif
