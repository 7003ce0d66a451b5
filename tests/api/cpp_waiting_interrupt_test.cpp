// The C++ API: Ctrl-C while Python's main thread waits.
#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/interrupt.hpp"
#include "support/mutex_holder.hpp"
#include "support/pending_exception.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"

using namespace pyattach;
using namespace std::chrono_literals;
using support::holder;
using support::interrupt;
using support::latch;
using support::python_handler;
using support::start_python;
using support::task;

namespace {

// `wait` would never end.
template <class Wait> void ends_with_ctrl_c(Wait wait) {
    interrupt soon;
    try {
        wait();
        FAIL("the wait ended without an exception");
    } catch (const python_error &raised) {
        CHECK(std::string(raised.what()) == "KeyboardInterrupt");
    }
    CHECK(pyattach_is_attached());
    CHECK(pyattach_error_message(nullptr, 0) == 0);
    soon.join();
}
// The nothrow overloads leave the exception pending.
template <class Wait> void ends_with_ctrl_c_pending(Wait wait) {
    interrupt soon;
    wait();
    CHECK(take_error() == "KeyboardInterrupt");
    CHECK(pyattach_is_attached());
    soon.join();
}

template <class Mutex> void a_lock_ends_with_ctrl_c(token py) {
    Mutex mutex;
    holder<Mutex> other(mutex);
    ends_with_ctrl_c([&] { (void)lock_detached(py, mutex); });
    ends_with_ctrl_c([&] { (void)lock_detached(mutex); });
    ends_with_ctrl_c([&] { (void)lock_detached_for(py, mutex, 1h); });
    ends_with_ctrl_c_pending([&] { CHECK_FALSE(lock_detached(std::nothrow, py, mutex).owns_lock()); });
    ends_with_ctrl_c_pending([&] {
        auto outcome = lock_detached_for(std::nothrow, mutex, std::chrono::hours::max());
        CHECK(outcome.status == PYATTACH_PYTHON_ERROR);
        CHECK_FALSE(outcome.lock.owns_lock());
    });
    other.release();
    auto held = lock_detached(py, mutex); // nothing has kept it
    CHECK(held.owns_lock());
}

} // namespace

TEST_CASE("Ctrl-C ends the wait for a lock") {
    start_python();
    attached here;
    token py = here.token();
    python_handler ctrl_c;
    a_lock_ends_with_ctrl_c<std::mutex>(py);
    a_lock_ends_with_ctrl_c<std::timed_mutex>(py);
    a_lock_ends_with_ctrl_c<std::shared_mutex>(py);
    a_lock_ends_with_ctrl_c<mutex>(py);
    a_lock_ends_with_ctrl_c<recursive_mutex>(py);
    std::shared_mutex shared;
    holder<std::shared_mutex> other(shared);
    ends_with_ctrl_c([&] { (void)lock_shared_detached(py, shared); });
    mutex ours, held;
    holder<mutex> owner(held);
    ends_with_ctrl_c([&] { (void)lock_detached(py, ours, held); });
    CHECK_FALSE(ours.is_locked());
    ends_with_ctrl_c([&] { (void)held.try_lock_for(1h); });
    ends_with_ctrl_c([&] { std::unique_lock<mutex> lock(held, std::chrono::system_clock::now() + 1h); });
    ends_with_ctrl_c_pending([&] { CHECK(held.try_lock_for(std::nothrow, 1h) == PYATTACH_PYTHON_ERROR); });
}

TEST_CASE("Ctrl-C ends the wait for a thread, which stays joinable") {
    start_python();
    attached here;
    token py = here.token();
    python_handler ctrl_c;
    latch over("the test to be over");
    std::thread thread([&] { over.wait(); });
    ends_with_ctrl_c([&] { join_detached(py, thread); });
    ends_with_ctrl_c([&] { (void)join_detached_until(thread, std::chrono::system_clock::now() + 1h); });
    ends_with_ctrl_c_pending([&] { CHECK(join_detached(std::nothrow, thread) == PYATTACH_PYTHON_ERROR); });
    CHECK(thread.joinable());
    over.count_down();
    join_detached(py, thread);
}

TEST_CASE("Ctrl-C ends the wait for a condition, and the lock is not held") {
    start_python();
    attached here;
    token py = here.token();
    python_handler ctrl_c;
    std::mutex lock;
    std::condition_variable changed;
    std::condition_variable_any changed_any;
    const auto never = [] { return false; };
    std::unique_lock<std::mutex> held(lock);
    const auto check_unlocked = [&] {
        CHECK_FALSE(held.owns_lock());
        held.lock();
    };
    ends_with_ctrl_c([&] { wait_detached(py, changed, held, never); });
    check_unlocked();
    ends_with_ctrl_c([&] { (void)wait_detached_for(changed_any, held, 1h, never); });
    check_unlocked();
    ends_with_ctrl_c_pending(
        [&] { CHECK(wait_detached(std::nothrow, py, changed, held, never) == PYATTACH_PYTHON_ERROR); });
    check_unlocked();
}

TEST_CASE("Ctrl-C ends the wait for a future") {
    start_python();
    attached here;
    token py = here.token();
    python_handler ctrl_c;
    std::promise<void> promise;
    std::future<void> future = promise.get_future();
    ends_with_ctrl_c([&] { wait_detached(py, future); });
    ends_with_ctrl_c([&] { (void)wait_detached_for(future, 1h); });
    ends_with_ctrl_c_pending([&] { CHECK(wait_detached(std::nothrow, future) == PYATTACH_PYTHON_ERROR); });
}

TEST_CASE("a handler may take the lock with which the main thread waits for a condition, which it then makes true") {
    start_python();
    attached here;
    token py = here.token();
    std::mutex lock;
    std::condition_variable changed;
    bool is_ready = false;
    support::publish("handle", support::native_function([&] {
                         std::lock_guard<std::mutex> held(lock);
                         is_ready = true; // and no thread is notified
                     }));
    python_handler handler("lambda number, frame: handle()");
    std::unique_lock<std::mutex> held(lock);
    interrupt soon;
    wait_detached(py, changed, held, [&] { return is_ready; });
    CHECK(held.owns_lock());
}

TEST_CASE("a time that ends while another thread has the lock of the condition ends with the lock held") {
    start_python();
    attached here;
    token py = here.token();
    std::mutex lock;
    std::condition_variable changed;
    const auto end = std::chrono::steady_clock::now() + 250ms;
    latch taken("the lock to be taken");
    // The handler has another thread take the lock, and keep it over the end of the time.
    std::unique_ptr<task> taker;
    support::publish("handle", support::native_function([&] {
                         taker = std::make_unique<task>("the taker of the lock to end", [&] {
                             std::lock_guard<std::mutex> held(lock);
                             taken.count_down();
                             support::wait_until("the time to be over",
                                                 [&] { return std::chrono::steady_clock::now() > end + 1ms; });
                         });
                         taken.wait();
                     }));
    python_handler handler("lambda number, frame: handle()");
    std::unique_lock<std::mutex> held(lock);
    interrupt soon;
    CHECK_FALSE(wait_detached_until(py, changed, held, end, [] { return false; }));
    CHECK(held.owns_lock());
    CHECK(taker);
}

TEST_CASE("only the main thread attaches again during a wait") {
    start_python();
    std::mutex plain;
    holder<std::mutex> other(plain);
    const auto wait = [&] {
        attached here;
        pyattach_stats before{}, after{};
        before.struct_size = after.struct_size = sizeof before;
        pyattach_stats_get(&before);
        EXPECT(!lock_detached_for(here.token(), plain, 250ms).owns_lock());
        pyattach_stats_get(&after);
        return after.detaches - before.detaches;
    };
    CHECK(support::run_on_thread(wait) == 1);
    CHECK(wait() >= 2);
}
