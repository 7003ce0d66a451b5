// The C++ API: the recursive mutex.
#include <condition_variable>
#include <mutex>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/fork.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"

using namespace std::chrono_literals;
using pyattach::recursive_mutex;
using support::latch;
using support::run_on_thread;
using support::run_on_threads;
using support::start_python;
using support::task;

static_assert(!std::is_copy_constructible_v<recursive_mutex> && !std::is_move_constructible_v<recursive_mutex>);
static_assert(std::is_trivially_destructible_v<recursive_mutex>);

namespace {

recursive_mutex constant_initialized;

bool is_free_for_others(recursive_mutex &mutex) {
    return run_on_thread([&] {
        const bool is_free = mutex.try_lock();
        if (is_free)
            mutex.unlock();
        return is_free;
    });
}

} // namespace

TEST_CASE("the owner of a recursive mutex locks it again in every way, and as many unlocks free it") {
    recursive_mutex &mutex = constant_initialized;
    mutex.lock();
    mutex.lock();
    CHECK(mutex.try_lock());
    CHECK(mutex.try_lock_for(0s));
    CHECK(mutex.try_lock_until(std::chrono::steady_clock::now()));
    CHECK(mutex.try_lock_for(std::nothrow, 1min) == PYATTACH_OK);
    CHECK(mutex.try_lock_until(std::nothrow, std::chrono::system_clock::now()) == PYATTACH_OK);
    for (int locked = 7; locked > 0; --locked) {
        CHECK(mutex.is_locked());
        CHECK_FALSE(is_free_for_others(mutex));
        mutex.unlock();
    }
    CHECK_FALSE(mutex.is_locked());
    CHECK(is_free_for_others(mutex));
}

TEST_CASE("a recursive mutex gives up after a time, and may be locked afterwards") {
    recursive_mutex mutex;
    mutex.lock();
    run_on_thread([&] {
        EXPECT(!mutex.try_lock_for(2ms));
        EXPECT(!mutex.try_lock_until(std::chrono::system_clock::now() + 2ms));
        EXPECT(mutex.try_lock_for(std::nothrow, 2ms) == PYATTACH_TIMED_OUT);
        EXPECT(mutex.try_lock_until(std::nothrow, std::chrono::steady_clock::now()) == PYATTACH_TIMED_OUT);
    });
    mutex.unlock();
    run_on_thread([&] {
        EXPECT(mutex.try_lock_for(1min));
        EXPECT(mutex.try_lock());
        mutex.unlock();
        mutex.unlock();
    });
    CHECK(is_free_for_others(mutex));
}

TEST_CASE("a recursive mutex works with the locks of the standard library") {
    recursive_mutex mutex, other;
    {
        std::lock_guard<recursive_mutex> outer(mutex);
        std::unique_lock<recursive_mutex> inner(mutex, 1min);
        CHECK(inner.owns_lock());
        std::scoped_lock both(other, mutex);
        auto [first, second] = pyattach::lock_detached(mutex, other);
        CHECK(first.owns_lock());
    }
    CHECK_FALSE(mutex.is_locked());
    CHECK_FALSE(other.is_locked());
}

TEST_CASE("waiting for a recursive mutex lets its owner use Python") {
    start_python();
    recursive_mutex mutex;
    latch is_held("the mutex to be held"), wanted("the mutex to be wanted");
    task owner("the owner to end", [&] {
        std::scoped_lock twice(mutex);
        std::scoped_lock again(mutex);
        is_held.count_down();
        wanted.wait();
        pyattach::attached here;
        here.token().run("pass");
    });
    is_held.wait();
    pyattach::attached here;
    wanted.count_down();
    mutex.lock();
    CHECK(pyattach_is_attached());
    mutex.unlock();
    pyattach::detached gap{here.token()};
    owner.join();
}

TEST_CASE("a recursive mutex excludes other threads") {
    recursive_mutex mutex;
    int counted = 0;
    run_on_threads(4, "the counting threads to end", [&](int) {
        for (int round = 0; round < 2000; ++round) {
            std::lock_guard<recursive_mutex> outer(mutex);
            std::lock_guard<recursive_mutex> inner(mutex);
            ++counted;
        }
    });
    CHECK(counted == 8000);
}

CHILD("forks with a recursive mutex") {
    recursive_mutex mutex;
    mutex.lock();
    const pid_t child = fork();
    if (child == 0)
        support::live_in_child([&] {
            mutex.lock();
            mutex.unlock();
            mutex.unlock();
            EXPECT(is_free_for_others(mutex));
        });
    support::expect_exit_0(child);
}
TEST_CASE("in a fork child the forking thread owns its recursive mutexes still") {
    support::check_succeeds("forks with a recursive mutex");
}

CHILD("unlocks a recursive mutex that is free") {
    recursive_mutex mutex;
    mutex.unlock();
}
CHILD("unlocks a recursive mutex of another thread") {
    recursive_mutex mutex;
    mutex.lock();
    run_on_thread([&] { mutex.unlock(); });
}
TEST_CASE("unlocking a recursive mutex that the thread does not own aborts") {
    support::check_aborts("unlocks a recursive mutex that is free", {"recursive_mutex::unlock", "does not own"});
    support::check_aborts("unlocks a recursive mutex of another thread", {"recursive_mutex::unlock", "does not own"});
}
