// The C++ API: waiting for locks and conditions while Python ends.
#include <atomic>
#include <condition_variable>
#include <mutex>

#include "pyattach/pyattach.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/python.hpp"
#include "support/threads.hpp"

using namespace pyattach;
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
