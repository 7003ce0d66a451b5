// The C++ API: waiting for threads, conditions and futures, with a time limit and without a token.
#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/every_thread.hpp"
#include "support/mutex_holder.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"

using namespace pyattach;
using namespace std::chrono_literals;
using support::detaches;
using support::latch;
using support::on_every_kind_of_thread;
using support::start_python;
using support::task;

namespace {

constexpr auto soon = 2ms;
constexpr auto late = 1min;

template <class Time> auto steady(Time time) { return std::chrono::steady_clock::now() + time; }
template <class Time> auto system(Time time) { return std::chrono::system_clock::now() + time; }

// What a thread does that needs Python before it is done.
void use_python() {
    attached here;
    here.token().run("pass");
}

// A thread of another library, which can be joined until a time.
struct foreign_thread {
    std::thread thread;
    int asked = 0;
    void join() { thread.join(); }
    bool try_join_for(std::chrono::nanoseconds time) {
        ++asked;
        if (time > 1h)
            thread.join();
        return !thread.joinable();
    }
};

} // namespace

TEST_CASE("a thread that ends in time is joined, on every kind of thread") {
    start_python();
    on_every_kind_of_thread([] {
        const auto joins = [](auto join) {
            std::thread thread(use_python);
            join(thread);
            EXPECT(!thread.joinable());
            thread = std::thread([] {}); // the object is as good as new
            thread.join();
        };
        if (pyattach_is_attached()) {
            token py = token::assume();
            joins([&](auto &thread) { join_detached(py, thread); });
            joins([&](auto &thread) { EXPECT(join_detached_for(py, thread, late)); });
            joins([&](auto &thread) { EXPECT(join_detached_until(py, thread, steady(late))); });
            joins([&](auto &thread) { EXPECT(join_detached_for(std::nothrow, py, thread, late) == PYATTACH_OK); });
            joins([&](auto &thread) {
                EXPECT(join_detached_until(std::nothrow, py, thread, system(late)) == PYATTACH_OK);
            });
        }
        joins([](auto &thread) { join_detached(thread); });
        joins([](auto &thread) { EXPECT(join_detached(std::nothrow, thread) == PYATTACH_OK); });
        joins([](auto &thread) { EXPECT(join_detached_for(thread, std::chrono::hours::max())); });
        joins([](auto &thread) { EXPECT(join_detached_until(thread, system(late))); });
        joins([](auto &thread) { EXPECT(join_detached_for(std::nothrow, thread, late) == PYATTACH_OK); });
        joins([](auto &thread) { EXPECT(join_detached_until(std::nothrow, thread, steady(late)) == PYATTACH_OK); });
    });
}

TEST_CASE("a thread that does not end in time stays joinable, on every kind of thread") {
    start_python();
    latch over("the test to be over");
    std::thread thread([&] { over.wait(); });
    on_every_kind_of_thread([&] {
        if (pyattach_is_attached()) {
            EXPECT(!join_detached_for(token::assume(), thread, soon));
            EXPECT(join_detached_until(std::nothrow, token::assume(), thread, system(soon)) == PYATTACH_TIMED_OUT);
        }
        EXPECT(!join_detached_for(thread, soon));
        EXPECT(!join_detached_for(thread, -1s));
        EXPECT(!join_detached_until(thread, steady(soon)));
        EXPECT(join_detached_for(std::nothrow, thread, soon) == PYATTACH_TIMED_OUT);
        EXPECT(thread.joinable());
    });
    over.count_down();
    join_detached(thread);
    CHECK_THROWS_AS(join_detached(thread), std::system_error);
    CHECK_THROWS_AS(join_detached_for(thread, soon), std::system_error);
}

TEST_CASE("a thread of another library is joined until a time if it has try_join_for") {
    start_python();
    attached here;
    foreign_thread thread{std::thread(use_python)};
    CHECK_FALSE(join_detached_for(here.token(), thread, soon));
    CHECK(thread.asked >= 1);
    {
        detached gap{here.token()};
        CHECK(join_detached_for(thread, std::chrono::hours::max()));
    }
    CHECK_FALSE(thread.thread.joinable());
}

TEST_CASE("waiting for a condition until a time returns the condition, with the lock held") {
    start_python();
    std::mutex lock;
    std::condition_variable changed;
    std::condition_variable_any changed_any;
    const auto never = [] { return false; };
    on_every_kind_of_thread([&] {
        std::unique_lock<std::mutex> held(lock);
        if (pyattach_is_attached()) {
            token py = token::assume();
            EXPECT(!wait_detached_for(py, changed, held, soon, never) && held.owns_lock());
            EXPECT(!wait_detached_until(py, changed_any, held, system(soon), never) && held.owns_lock());
            EXPECT(wait_detached_for(std::nothrow, py, changed_any, held, soon, never) == PYATTACH_TIMED_OUT);
            EXPECT(wait_detached_until(std::nothrow, py, changed, held, steady(soon), never) == PYATTACH_TIMED_OUT);
        }
        EXPECT(!wait_detached_for(changed_any, held, soon, never) && held.owns_lock());
        EXPECT(!wait_detached_until(changed, held, system(soon), never) && held.owns_lock());
        EXPECT(wait_detached_for(std::nothrow, changed, held, soon, never) == PYATTACH_TIMED_OUT);
        EXPECT(wait_detached_until(std::nothrow, changed_any, held, steady(-1h), never) == PYATTACH_TIMED_OUT);
        int calls = 0; // the last word has the condition, as in the standard library
        EXPECT(wait_detached_for(changed, held, soon, [&] { return ++calls == 2; }));
        EXPECT(held.owns_lock());
    });
}

TEST_CASE("a condition that comes true in time is waited for, on every kind of thread") {
    start_python();
    on_every_kind_of_thread([] {
        const auto meets = [](auto wait) {
            std::mutex lock;
            std::condition_variable changed;
            bool is_ready = false;
            task notifier("the notifier to end", [&] {
                use_python();
                std::lock_guard<std::mutex> held(lock);
                is_ready = true;
                changed.notify_all();
            });
            {
                std::unique_lock<std::mutex> held(lock);
                wait(changed, held, [&] { return is_ready; });
                EXPECT(held.owns_lock());
                EXPECT(is_ready);
            }
            if (!pyattach_is_attached())
                return;
            detached gap{token::assume()};
            notifier.join();
        };
        if (pyattach_is_attached()) {
            token py = token::assume();
            meets([&](auto &changed, auto &held, auto condition) { wait_detached(py, changed, held, condition); });
            meets([&](auto &changed, auto &held, auto condition) {
                EXPECT(wait_detached_for(py, changed, held, late, condition));
            });
        }
        meets([](auto &changed, auto &held, auto condition) { wait_detached(changed, held, condition); });
        meets([](auto &changed, auto &held, auto condition) {
            EXPECT(wait_detached(std::nothrow, changed, held, condition) == PYATTACH_OK);
        });
        meets([](auto &changed, auto &held, auto condition) {
            EXPECT(wait_detached_for(changed, held, std::chrono::hours::max(), condition));
        });
        meets([](auto &changed, auto &held, auto condition) {
            EXPECT(wait_detached_until(changed, held, system(late), condition));
        });
    });
}

TEST_CASE("a future is waited for, on every kind of thread") {
    start_python();
    on_every_kind_of_thread([] {
        const auto waits = [](auto wait) {
            auto future = std::async(std::launch::async, [] {
                use_python();
                return 42;
            });
            wait(future);
            EXPECT(future.get() == 42);
        };
        if (pyattach_is_attached()) {
            token py = token::assume();
            waits([&](auto &future) { wait_detached(py, future); });
            waits([&](auto &future) { EXPECT(wait_detached(std::nothrow, py, future) == PYATTACH_OK); });
            waits([&](auto &future) { EXPECT(wait_detached_for(py, future, late) == std::future_status::ready); });
            waits([&](auto &future) {
                EXPECT(wait_detached_until(py, future, system(late)) == std::future_status::ready);
            });
        }
        waits([](auto &future) { wait_detached(future); });
        waits([](auto &future) { EXPECT(wait_detached(std::nothrow, future) == PYATTACH_OK); });
        waits([](auto &future) { EXPECT(wait_detached_for(future, late) == std::future_status::ready); });
        waits([](auto &future) { EXPECT(wait_detached_until(std::nothrow, future, steady(late)) == PYATTACH_OK); });
    });
}

TEST_CASE("a future that is not ready in time, ready already, or deferred is told apart") {
    start_python();
    on_every_kind_of_thread([] {
        std::promise<int> promise;
        std::shared_future<int> future = promise.get_future().share();
        if (pyattach_is_attached()) {
            EXPECT(wait_detached_for(token::assume(), future, soon) == std::future_status::timeout);
            EXPECT(wait_detached_until(std::nothrow, token::assume(), future, system(soon)) == PYATTACH_TIMED_OUT);
        }
        EXPECT(wait_detached_until(future, steady(soon)) == std::future_status::timeout);
        EXPECT(wait_detached_for(std::nothrow, future, soon) == PYATTACH_TIMED_OUT);
        promise.set_value(1);
        const std::uint64_t before = detaches();
        wait_detached(future);
        EXPECT(wait_detached_for(future, 0s) == std::future_status::ready);
        EXPECT(detaches() == before);

        int state = -1;
        auto deferred = std::async(std::launch::deferred, [&] { state = pyattach_is_attached(); });
        EXPECT(wait_detached_for(deferred, late) == std::future_status::deferred);
        EXPECT(wait_detached_until(std::nothrow, deferred, steady(late)) == PYATTACH_INVALID);
        EXPECT(state == -1);
        wait_detached(deferred);
        EXPECT(state == 0);
    });
}

TEST_CASE("waiting without a token is refused inside a forbidden scope") {
    start_python();
    attached here;
    std::mutex lock;
    std::condition_variable changed;
    std::unique_lock<std::mutex> held(lock);
    std::promise<void> promise;
    std::thread thread([] {});
    {
        forbidden traversing;
        CHECK(join_detached(std::nothrow, thread) == PYATTACH_FORBIDDEN);
        CHECK(wait_detached_for(std::nothrow, changed, held, late, [] { return false; }) == PYATTACH_FORBIDDEN);
        CHECK(held.owns_lock());
        CHECK_THROWS_AS(wait_detached(promise.get_future()), error);
    }
    thread.join();
}
