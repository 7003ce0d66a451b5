// A thread that makes any call of the library at any time: locks that wait, for ever or for a time, one or several.
#include "fuzz/machine.hpp"

#include <chrono>
#include <new>

#include "pyattach/locking.hpp"

namespace fuzz {

namespace {

constexpr std::chrono::microseconds moment{300};
constexpr long long moment_ns = 300000;

} // namespace

// A lock that is waited for without a limit comes after all those that the thread has, in one order: the mutexes, then
// the recursive one. Several at once are waited for by a thread that has none. A forbidden thread keeps others out of
// Python while it waits, so it waits for a moment only.
void machine::recursive() {
    note("recursive_mutex");
    if (recursions_ && from_.below(2)) {
        world_.recursive.unlock();
        --recursions_;
        return;
    }
    if (recursions_ == 3)
        return;
    const unsigned how = from_.below(4);
    bool is_locked = true;
    if (how == 0)
        is_locked = world_.recursive.try_lock();
    else if (how == 1 && !is_forbidden())
        world_.recursive.lock();
    else if (how == 2)
        is_locked =
            world_.recursive.try_lock_until(std::nothrow, std::chrono::system_clock::now() + moment) == PYATTACH_OK;
    else
        is_locked = world_.recursive.try_lock_for(moment);
    EXPECT(is_locked || recursions_ == 0);
    recursions_ += is_locked;
}

void machine::lock_for() {
    note("mutex_lock_for");
    EXPECT(pyattach_mutex_lock_for(nullptr, 0) == PYATTACH_INVALID);
    const unsigned which = from_.below(mutexes), bit = 1u << which;
    const bool may_wait = !is_forbidden() && !recursions_ && !(locked_ & ~(bit - 1));
    const long long limit = may_wait && from_.below(3) == 0 ? -1 : from_.below(2) ? 0 : moment_ns;
    const pyattach_status answer =
        attaching(is_quiet() || limit != 0, [&] { return pyattach_mutex_lock_for(&world_.mutex[which], limit); });
    if (locked_ & bit || limit < 0)
        EXPECT(answer == (limit < 0 ? PYATTACH_OK : PYATTACH_TIMED_OUT));
    else
        EXPECT(answer == PYATTACH_OK || answer == PYATTACH_TIMED_OUT);
    if (answer == PYATTACH_OK)
        locked_ |= bit;
}

void machine::several() {
    using namespace pyattach;
    const bool may_wait = !holds_lock() && !is_forbidden();
    // What is locked is unlocked at once, or after a scope that finds it locked.
    auto with_lock = [&](bool is_locked) {
        if (is_locked && from_.below(2) && open_.size() < 8)
            begin_attached();
    };
    // A forbidden thread waits for nothing.
    auto check = [&](pyattach_status status) {
        EXPECT(status == PYATTACH_OK || status == (is_forbidden() ? PYATTACH_FORBIDDEN : PYATTACH_TIMED_OUT));
        with_lock(status == PYATTACH_OK);
    };
    switch (from_.below(6)) {
    case 0: {
        note("lock_detached of several");
        if (!may_wait)
            return;
        auto locks = from_.below(2) ? lock_detached(std::nothrow, world_.plain, world_.timed)
                                    : lock_detached(world_.plain, world_.timed);
        EXPECT(std::get<0>(locks).owns_lock() && std::get<1>(locks).owns_lock());
        return with_lock(true);
    }
    case 1: {
        note("lock_detached of several, in another order");
        if (!may_wait)
            return;
        auto locks = lock_detached(std::nothrow, world_.shared, world_.timed, world_.plain);
        EXPECT(std::get<0>(locks).owns_lock() && std::get<1>(locks).owns_lock() && std::get<2>(locks).owns_lock());
        return with_lock(true);
    }
    case 2: {
        note("lock_detached_for");
        auto outcome = lock_detached_for(std::nothrow, world_.timed, moment);
        EXPECT(outcome.lock.owns_lock() == (outcome.status == PYATTACH_OK));
        return check(outcome.status);
    }
    case 3: {
        note("lock_detached_until");
        auto outcome = lock_detached_until(std::nothrow, world_.plain, std::chrono::system_clock::now() + moment);
        EXPECT(outcome.lock.owns_lock() == (outcome.status == PYATTACH_OK));
        return check(outcome.status);
    }
    case 4: {
        note("lock_shared_detached_for");
        auto outcome = lock_shared_detached_for(std::nothrow, world_.shared, moment);
        EXPECT(outcome.lock.owns_lock() == (outcome.status == PYATTACH_OK));
        return check(outcome.status);
    }
    default: {
        note("lock_shared_detached");
        if (!may_wait)
            return;
        auto lock = lock_shared_detached(std::nothrow, world_.shared);
        EXPECT(lock.owns_lock());
        return with_lock(true);
    }
    }
}

} // namespace fuzz
