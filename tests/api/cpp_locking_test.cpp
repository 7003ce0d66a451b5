// The C++ API: locking with a time limit, and without a token.
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <tuple>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/every_thread.hpp"
#include "support/mutex_holder.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"

using namespace pyattach;
using namespace std::chrono_literals;
using support::holder;
using support::latch;
using support::on_every_kind_of_thread;
using support::start_python;
using support::task;

namespace {

constexpr auto soon = 2ms;
constexpr auto late = 1min;

auto steady(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }
auto system(std::chrono::milliseconds time) { return std::chrono::system_clock::now() + time; }

// Locks in each way that gives up, with each function that has a time.
template <class Mutex, class Take> void each_way(Mutex &mutex, Take take) {
    if (pyattach_is_attached()) {
        token py = token::assume();
        take(lock_detached_for(py, mutex, soon));
        take(lock_detached_until(py, mutex, steady(soon)));
        take(lock_detached_until(py, mutex, system(soon)));
        take(std::move(lock_detached_for(std::nothrow, py, mutex, soon).lock));
        take(std::move(lock_detached_until(std::nothrow, py, mutex, steady(soon)).lock));
        take(std::move(lock_detached_until(std::nothrow, py, mutex, system(soon)).lock));
    }
    take(lock_detached_for(mutex, soon));
    take(lock_detached_until(mutex, steady(soon)));
    take(lock_detached_until(mutex, system(soon)));
    take(std::move(lock_detached_for(std::nothrow, mutex, soon).lock));
    take(std::move(lock_detached_until(std::nothrow, mutex, steady(soon)).lock));
    take(std::move(lock_detached_until(std::nothrow, mutex, system(soon)).lock));
}
template <class Mutex, class Take> void each_shared_way(Mutex &mutex, Take take) {
    if (pyattach_is_attached()) {
        token py = token::assume();
        take(lock_shared_detached_for(py, mutex, soon));
        take(lock_shared_detached_until(py, mutex, steady(soon)));
        take(std::move(lock_shared_detached_for(std::nothrow, py, mutex, soon).lock));
        take(std::move(lock_shared_detached_until(std::nothrow, py, mutex, steady(soon)).lock));
    }
    take(lock_shared_detached_for(mutex, soon));
    take(lock_shared_detached_until(mutex, system(soon)));
    take(std::move(lock_shared_detached_for(std::nothrow, mutex, soon).lock));
    take(std::move(lock_shared_detached_until(std::nothrow, mutex, system(soon)).lock));
}

template <class Mutex> void gives_up_and_locks() {
    Mutex mutex;
    {
        holder<Mutex> other(mutex);
        on_every_kind_of_thread([&] { each_way(mutex, [](auto held) { EXPECT(!held.owns_lock()); }); });
        EXPECT(lock_detached_for(std::nothrow, mutex, soon).status == PYATTACH_TIMED_OUT);
    }
    on_every_kind_of_thread([&] { each_way(mutex, [](auto held) { EXPECT(held.owns_lock()); }); });
    EXPECT(lock_detached_for(std::nothrow, mutex, soon).status == PYATTACH_OK);
}

// The owner needs Python before it unlocks, on every kind of thread that waits.
template <class Mutex, class Take> void gets_it_from_one_that_needs_python(Take take) {
    on_every_kind_of_thread([&] {
        Mutex mutex;
        latch is_held("the mutex to be held"), wanted("the mutex to be wanted");
        task owner("the owner to end", [&] {
            std::unique_lock<Mutex> held(mutex);
            is_held.count_down();
            wanted.wait();
            attached here;
            here.token().run("pass");
        });
        is_held.wait();
        wanted.count_down();
        EXPECT(take(mutex).owns_lock());
        if (!pyattach_is_attached())
            return;
        detached gap{token::assume()};
        owner.join();
    });
}

} // namespace

TEST_CASE("a lock with a time limit gives up, or locks, on every kind of thread") {
    start_python();
    gives_up_and_locks<std::mutex>();
    gives_up_and_locks<std::recursive_mutex>();
    gives_up_and_locks<std::timed_mutex>();
    gives_up_and_locks<std::shared_mutex>();
    gives_up_and_locks<std::shared_timed_mutex>();
    gives_up_and_locks<mutex>();
    gives_up_and_locks<recursive_mutex>();
}

TEST_CASE("a shared lock with a time limit gives up, or locks, on every kind of thread") {
    start_python();
    std::shared_mutex plain;
    std::shared_timed_mutex timed;
    {
        holder<std::shared_mutex> first(plain);
        holder<std::shared_timed_mutex> second(timed);
        const auto fails = [](auto held) { EXPECT(!held.owns_lock()); };
        on_every_kind_of_thread([&] { each_shared_way(plain, fails), each_shared_way(timed, fails); });
    }
    std::shared_lock<std::shared_mutex> first(plain);
    std::shared_lock<std::shared_timed_mutex> second(timed);
    const auto succeeds = [](auto held) { EXPECT(held.owns_lock()); };
    on_every_kind_of_thread([&] { each_shared_way(plain, succeeds), each_shared_way(timed, succeeds); });
}

TEST_CASE("a time limit of zero or less, or far away, is one as well") {
    start_python();
    std::mutex plain;
    mutex ours;
    const auto check = [](auto &lock) {
        CHECK(lock_detached_for(lock, 0s).owns_lock());
        CHECK(lock_detached_for(lock, -1h).owns_lock());
        CHECK(lock_detached_for(lock, std::chrono::hours::max()).owns_lock());
        CHECK(lock_detached_until(lock, std::chrono::steady_clock::time_point::max()).owns_lock());
        CHECK(lock_detached_until(lock, std::chrono::system_clock::time_point::min()).owns_lock());
        holder<std::remove_reference_t<decltype(lock)>> other(lock);
        CHECK_FALSE(lock_detached_for(lock, 0s).owns_lock());
        CHECK_FALSE(lock_detached_for(lock, std::chrono::hours::min()).owns_lock());
        CHECK_FALSE(lock_detached_for(lock, std::chrono::duration<double>(0.001)).owns_lock());
        CHECK_FALSE(lock_detached_until(lock, std::chrono::steady_clock::time_point::min()).owns_lock());
    };
    check(plain), check(ours);
    attached here;
    check(plain), check(ours);
}

TEST_CASE("a lock without a token detaches an attached thread, so that the owner may use Python") {
    start_python();
    gets_it_from_one_that_needs_python<std::mutex>([](auto &lock) { return lock_detached(lock); });
    gets_it_from_one_that_needs_python<std::mutex>([](auto &lock) { return lock_detached(std::nothrow, lock); });
    gets_it_from_one_that_needs_python<std::mutex>([](auto &lock) { return lock_detached_for(lock, late); });
    gets_it_from_one_that_needs_python<mutex>([](auto &lock) { return lock_detached(lock); });
    gets_it_from_one_that_needs_python<mutex>([](auto &lock) { return lock_detached_until(lock, system(late)); });
    gets_it_from_one_that_needs_python<std::shared_mutex>([](auto &lock) { return lock_shared_detached(lock); });
    gets_it_from_one_that_needs_python<std::shared_mutex>(
        [](auto &lock) { return lock_shared_detached(std::nothrow, lock); });
    gets_it_from_one_that_needs_python<std::shared_mutex>(
        [](auto &lock) { return lock_shared_detached_for(lock, late); });
}

TEST_CASE("locking with a time limit, without a token, or several, is refused inside a forbidden scope") {
    start_python();
    attached here;
    token py = here.token();
    std::mutex plain;
    mutex ours;
    holder<std::mutex> other(plain);
    forbidden traversing;
    CHECK(lock_detached_for(std::nothrow, py, plain, late).status == PYATTACH_FORBIDDEN);
    CHECK(lock_detached_for(std::nothrow, plain, late).status == PYATTACH_FORBIDDEN);
    CHECK_THROWS_AS(lock_detached(plain), error);
    CHECK_THROWS_AS(lock_detached_for(py, plain, late), error);
    CHECK_THROWS_AS(lock_detached(py, ours, plain), error);
    CHECK_FALSE(std::get<0>(lock_detached(std::nothrow, py, ours, plain)).owns_lock());
    CHECK_FALSE(ours.is_locked());
}
