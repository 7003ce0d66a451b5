// The C++ API: waiting for locks and conditions while Python ends.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/mutex_holder.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"

using namespace pyattach;
using namespace std::chrono_literals;
using support::check_succeeds;
using support::latch;
using support::start_python;
using support::task;

namespace {

// A thread that waits detached while Python ends, and gets what it waited for afterwards.
template <class Wait> void waits_through_the_end(Wait wait, std::mutex &lock, bool hold) {
    start_python();
    latch is_waiting("the thread to wait");
    std::unique_lock<std::mutex> held(lock, std::defer_lock);
    if (hold)
        held.lock();
    task waiter("the thread that waits", [&] {
        attached here;
        pyattach_status status = PYATTACH_OK;
        try {
            is_waiting.count_down();
            wait(here.token());
        } catch (const error &why) {
            status = why.status();
        }
        EXPECT(status == PYATTACH_FINALIZING);
        EXPECT(!pyattach_is_attached());
        EXPECT(lock.try_lock()); // no thread holds it
        lock.unlock();
    });
    is_waiting.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    if (hold)
        held.unlock();
    waiter.join();
}

} // namespace

CHILD("gets a lock after the end of Python") {
    std::mutex lock;
    waits_through_the_end([&](token py) { auto held = lock_detached(py, lock); }, lock, true);
}

CHILD("gets a lock after the end of Python, told not to throw") {
    std::mutex lock;
    waits_through_the_end(
        [&](token py) {
            auto held = lock_detached(std::nothrow, py, lock);
            EXPECT(!held.owns_lock());
            throw error(PYATTACH_FINALIZING);
        },
        lock, true);
}

TEST_CASE("a thread that cannot re-attach after locking does not keep the lock") {
    check_succeeds("gets a lock after the end of Python");
    check_succeeds("gets a lock after the end of Python, told not to throw");
}

namespace {

// The same with a lock that is unlocked after the end, for whatever waits for it.
template <class Mutex, class Wait> void takes_after_the_end(Mutex &lock, Wait wait) {
    const pyattach_start_options options = support::start_options();
    EXPECT(pyattach_interpreter_start_with(&options) == PYATTACH_OK);
    lock.lock();
    latch is_waiting("the thread to wait");
    task waiter("the thread that waits", [&] {
        attached here;
        is_waiting.count_down();
        pyattach_status status = PYATTACH_OK;
        try {
            wait(here.token());
        } catch (const error &why) {
            status = why.status();
        }
        EXPECT(status == PYATTACH_FINALIZING);
        EXPECT(!pyattach_is_attached());
    });
    is_waiting.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    lock.unlock();
    waiter.join();
    EXPECT(lock.try_lock()); // the waiting thread does not keep it
    lock.unlock();
}

} // namespace

CHILD("takes a lock with a time limit, or several, after the end of Python") {
    support::load_python();
    std::mutex plain, other;
    std::shared_mutex shared;
    mutex ours;
    recursive_mutex recursive;
    takes_after_the_end(plain, [&](token py) { (void)lock_detached_for(py, plain, 1min); });
    takes_after_the_end(plain, [&](token) { (void)lock_detached(plain); });
    takes_after_the_end(plain, [&](token py) { throw error(lock_detached_for(std::nothrow, py, plain, 1min).status); });
    takes_after_the_end(shared, [&](token py) { (void)lock_shared_detached_for(py, shared, 1min); });
    takes_after_the_end(ours, [&](token py) { (void)lock_detached(py, other, ours); });
    takes_after_the_end(ours, [&](token) { (void)ours.try_lock_for(1min); });
    takes_after_the_end(recursive, [&](token) { (void)recursive.try_lock_for(1min); });
    EXPECT(other.try_lock());
    other.unlock();
}
TEST_CASE("a thread that cannot re-attach keeps no lock that it took with a time limit, nor one of several") {
    check_succeeds("takes a lock with a time limit, or several, after the end of Python");
}

CHILD("a thread ends, and a future is ready, after the end of Python") {
    std::promise<void> promise;
    std::future<void> future = promise.get_future();
    std::thread thread([&] { future.wait(); });
    support::load_python();
    const auto wait = [&](auto body) {
        const pyattach_start_options options = support::start_options();
        EXPECT(pyattach_interpreter_start_with(&options) == PYATTACH_OK);
        latch is_waiting("the thread to wait");
        task waiter("the thread that waits", [&] {
            attached here;
            is_waiting.count_down();
            EXPECT(body(here.token()) == PYATTACH_FINALIZING);
            EXPECT(!pyattach_is_attached());
        });
        is_waiting.wait();
        EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
        waiter.join();
    };
    // The time is over after the end.
    const auto until = [](auto attempt) {
        pyattach_status status = PYATTACH_TIMED_OUT;
        while (status == PYATTACH_TIMED_OUT)
            status = attempt();
        return status;
    };
    wait([&](token py) { return until([&] { return join_detached_for(std::nothrow, py, thread, 2ms); }); });
    EXPECT(thread.joinable());
    wait([&](token py) { return until([&] { return wait_detached_for(std::nothrow, py, future, 2ms); }); });
    promise.set_value();
    join_detached(thread);
    EXPECT(!thread.joinable());
}
TEST_CASE("a thread that waits with a time limit while Python ends is told so") {
    check_succeeds("a thread ends, and a future is ready, after the end of Python");
}

CHILD("waits without a token and without a Python") {
    const auto wait = [] {
        std::mutex plain;
        mutex ours;
        std::condition_variable changed;
        {
            support::holder<std::mutex> other(plain);
            EXPECT(!lock_detached_for(plain, 2ms).owns_lock());
            EXPECT(!ours.is_locked());
        }
        auto [first, second] = lock_detached(plain, ours);
        EXPECT(first.owns_lock() && second.owns_lock());
        EXPECT(!wait_detached_for(changed, first, 2ms, [] { return false; }));
        bool is_ready = false;
        std::thread thread([&] {
            std::lock_guard<std::mutex> held(plain);
            is_ready = true;
            changed.notify_all();
        });
        wait_detached(changed, first, [&] { return is_ready; });
        first.unlock();
        join_detached(thread);
        auto future = std::async(std::launch::async, [] { return 1; });
        wait_detached(future);
        EXPECT(wait_detached_for(future, 0s) == std::future_status::ready);
        recursive_mutex recursive;
        std::scoped_lock twice(recursive);
        EXPECT(recursive.try_lock_for(2ms));
        recursive.unlock();
    };
    wait(); // before one is loaded
    support::load_python();
    wait(); // before it is started
    start_python();
    wait();
    EXPECT(!support::stop_python());
    wait(); // after its end
}
TEST_CASE("a thread waits without a token before Python is loaded and after it ended") {
    check_succeeds("waits without a token and without a Python");
}

CHILD("sees a condition met after the end of Python") {
    std::mutex lock;
    std::condition_variable_any changed;
    std::atomic<bool> is_over{false};
    support::start_python();
    task notifier("the notifier", [&] {
        pyattach_attached scope;
        support::wait_until("Python to end", [&] {
            pyattach_status status = pyattach_attached_begin(&scope);
            if (status == PYATTACH_OK)
                pyattach_attached_end(&scope);
            return status == PYATTACH_NOT_INITIALIZED;
        });
        is_over = true;
        std::lock_guard<std::mutex> held(lock);
        changed.notify_all();
    });
    waits_through_the_end(
        [&](token py) {
            std::unique_lock<std::mutex> held(lock);
            try {
                wait_detached(py, changed, held, [&] { return is_over.load(); });
            } catch (const error &) {
                EXPECT(!held.owns_lock());
                throw;
            }
        },
        lock, false);
    notifier.join();
}

TEST_CASE("a thread that cannot re-attach after a condition wait does not keep the lock") {
    check_succeeds("sees a condition met after the end of Python");
}
