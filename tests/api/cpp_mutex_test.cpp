// The C++ API: mutexes, and values that have one.
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"

using namespace pyattach;
using support::latch;
using support::run_on_thread;
using support::start_python;
using support::task;

static_assert(!std::is_copy_constructible_v<mutex> && !std::is_move_constructible_v<mutex>);
static_assert(std::is_trivially_destructible_v<mutex> && std::is_nothrow_default_constructible_v<mutex>);
static_assert(sizeof(mutex) == sizeof(pyattach_mutex) && sizeof(once) == sizeof(pyattach_once));
using guard = decltype(std::declval<synchronized<int> &>().lock());
static_assert(!std::is_copy_constructible_v<guard> && !std::is_move_constructible_v<guard>,
              "a guard is not handed to another thread");
static_assert(!std::is_copy_constructible_v<synchronized<int>> && !std::is_move_constructible_v<synchronized<int>>);

namespace {

mutex constant_initialized;
synchronized<int> constant_value{7};

} // namespace

TEST_CASE("a mutex works with the locks of the standard library") {
    mutex first, second;
    {
        std::lock_guard<mutex> held(first);
        CHECK(first.is_locked());
        CHECK_FALSE(run_on_thread([&] { return first.try_lock(); }));
    }
    CHECK_FALSE(first.is_locked());
    {
        std::unique_lock<mutex> held(first, std::try_to_lock);
        CHECK(held.owns_lock());
    }
    {
        std::scoped_lock both(first, second);
        CHECK((first.is_locked() && second.is_locked()));
    }
    {
        locked held{constant_initialized};
        CHECK(constant_initialized.is_locked());
    }
    CHECK_FALSE(constant_initialized.is_locked());
    CHECK(pyattach_mutex_try_lock(first.native_handle()) == 1);
    CHECK(first.is_locked());
    pyattach_mutex_unlock(first.native_handle());
}

TEST_CASE("a mutex is locked with a time limit of any unit and clock") {
    using namespace std::chrono_literals;
    mutex lock;
    const auto steady = [](auto time) { return std::chrono::steady_clock::now() + time; };
    const auto system = [](auto time) { return std::chrono::system_clock::now() + time; };
    CHECK(std::unique_lock<mutex>(lock, 0s).owns_lock());
    CHECK(std::unique_lock<mutex>(lock, steady(1h)).owns_lock());
    CHECK(std::unique_lock<mutex>(lock, std::chrono::hours::max()).owns_lock());
    CHECK(std::unique_lock<mutex>(lock, system(-1h)).owns_lock());
    CHECK(lock.try_lock_for(std::nothrow, 1h) == PYATTACH_OK);
    run_on_thread([&] {
        EXPECT(!std::unique_lock<mutex>(lock, 2ms).owns_lock());
        EXPECT(!std::unique_lock<mutex>(lock, steady(2ms)).owns_lock());
        EXPECT(!std::unique_lock<mutex>(lock, system(2ms)).owns_lock());
        EXPECT(!lock.try_lock_for(std::chrono::duration<double>(-1)));
        EXPECT(!lock.try_lock_until(steady(-1h)));
        EXPECT(lock.try_lock_for(std::nothrow, 2ms) == PYATTACH_TIMED_OUT);
        EXPECT(lock.try_lock_until(std::nothrow, system(2ms)) == PYATTACH_TIMED_OUT);
        const auto begin = std::chrono::steady_clock::now();
        EXPECT(!lock.try_lock_for(3ms) && std::chrono::steady_clock::now() - begin >= 3ms);
    });
    lock.unlock();
    CHECK(lock.try_lock_until(std::nothrow, system(1h)) == PYATTACH_OK);
    lock.unlock();
}

TEST_CASE("a mutex works with std::condition_variable_any") {
    mutex lock;
    std::condition_variable_any changed;
    bool is_set = false;
    task setter("the setter", [&] {
        std::lock_guard<mutex> held(lock);
        is_set = true;
        changed.notify_one();
    });
    std::unique_lock<mutex> held(lock);
    changed.wait(held, [&] { return is_set; });
    CHECK(is_set);
}

TEST_CASE("waiting for a mutex lets other threads run Python") {
    start_python();
    mutex lock;
    lock.lock();
    latch at_lock("the waiter to come to the lock");
    task waiter("the waiter", [&] {
        attached here;
        at_lock.count_down();
        locked held{lock};
        EXPECT(pyattach_is_attached());
    });
    at_lock.wait();
    {
        attached here;
        here.token().run("pass");
    }
    lock.unlock();
    waiter.join();
}

TEST_CASE("a synchronized value is reached through its lock") {
    synchronized<std::vector<int>> values{1, 2}; // one element, two
    CHECK(values.lock()->size() == 1);
    values.lock()->push_back(3);
    {
        auto held = values.lock();
        CHECK(held);
        CHECK(values.is_locked());
        held->push_back(4);
        (*held)[0] = 1;
        auto other = values.try_lock();
        CHECK_FALSE(other);
    }
    CHECK_FALSE(values.is_locked());
    CHECK(values.with([](auto &value) { return value; }) == std::vector<int>{1, 3, 4});
    int &first = values.with([](auto &value) -> int & { return value[0]; });
    CHECK(first == 1);
    CHECK(*constant_value.lock() == 7);
    if (auto held = constant_value.try_lock())
        CHECK(*held == 7);
    else
        FAIL("it was free");
}

#if !defined(NDEBUG)
CHILD("looks through a guard without a lock") {
    synchronized<int> value;
    auto held = value.lock();
    *value.try_lock() = 1;
}

TEST_CASE("looking through a guard that holds no lock aborts with a sentence") {
    support::check_aborts("looks through a guard without a lock", {"synchronized", "holds no lock"});
}
#endif

TEST_CASE("an exception under the lock releases it, and the value stays reachable") {
    synchronized<std::string> text("before");
    CHECK_THROWS_AS(text.with([](std::string &value) {
        value = "half";
        throw std::runtime_error("under the lock");
    }),
                    std::runtime_error);
    CHECK_FALSE(text.is_locked());
    CHECK(*text.lock() == "half");
}

TEST_CASE("a synchronized counter is exact under five threads") {
    synchronized<int> counter;
    std::vector<std::unique_ptr<task>> threads;
    for (int i = 0; i < 5; ++i)
        threads.push_back(std::make_unique<task>("a counting thread", [&] {
            for (int n = 0; n < 10000; ++n)
                ++*counter.lock();
        }));
    for (auto &thread : threads)
        thread->join();
    CHECK(*counter.lock() == 50000);
}
