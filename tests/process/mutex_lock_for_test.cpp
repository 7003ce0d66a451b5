// The mutex with a time limit: without a Python, while Python ends, in a fork child, and on a cancelled thread.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/fork.hpp"
#include "support/interrupt.hpp"
#include "support/mutex_holder.hpp"
#include "support/pending_exception.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <pthread.h>

using namespace support;

namespace {
constexpr long long ms = 1000000, for_ever = -1;
}

CHILD("a thread waits for a mutex, with a time limit, through the end") {
    start_python();
    pyattach_set_exit_timeout(10 * ms);
    c_mutex mutex;
    for (long long limit : {for_ever, 60000 * ms}) {
        mutex.lock();
        task waiter("the waiting thread to end", [&] {
            pyattach_attached scope;
            EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
            EXPECT(pyattach_mutex_lock_for(&mutex.at, limit) == PYATTACH_FINALIZING);
            EXPECT(pyattach_is_attached() == 0);
            EXPECT(pyattach_attach_depth() == 0);
            EXPECT(!pyattach_mutex_is_locked(&mutex.at)); // this thread does not keep it
            pyattach_attached_end(&scope);                // inert
            EXPECT(pyattach_mutex_lock_for(&mutex.at, limit) == PYATTACH_OK);
            mutex.unlock();
        });
        waiter.wait_until_asleep();
        EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
        mutex.unlock();
        waiter.join();
        const pyattach_start_options options = start_options();
        EXPECT(pyattach_interpreter_start_with(&options) == PYATTACH_OK);
    }
}
CHILD("the time of a thread that waits for a mutex is over after the end") {
    start_python();
    pyattach_set_exit_timeout(10 * ms);
    c_mutex mutex;
    holder<c_mutex> owner(mutex);
    latch begins("the waiting thread to begin");
    task waiter("the waiting thread to end", [&] {
        pyattach_attached scope;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
        begins.count_down();
        pyattach_status status = PYATTACH_TIMED_OUT;
        while (status == PYATTACH_TIMED_OUT)
            status = pyattach_mutex_lock_for(&mutex.at, ms);
        EXPECT(status == PYATTACH_FINALIZING);
        pyattach_attached_end(&scope);
    });
    begins.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    waiter.join();
}
TEST_CASE("a thread that waits for a mutex with a time limit while its interpreter ends gets FINALIZING") {
    check_succeeds("a thread waits for a mutex, with a time limit, through the end");
    check_succeeds("the time of a thread that waits for a mutex is over after the end");
}

CHILD("a mutex with a time limit without a Python") {
    c_mutex mutex;
    int counted = 0;
    const auto use = [&] {
        run_on_threads(2, "the counting threads to end", [&](int) {
            for (int round = 0; round < 1000; ++round) {
                EXPECT(pyattach_mutex_lock_for(&mutex.at, for_ever) == PYATTACH_OK);
                ++counted;
                mutex.unlock();
            }
        });
        holder<c_mutex> owner(mutex);
        EXPECT(pyattach_mutex_lock_for(&mutex.at, ms) == PYATTACH_TIMED_OUT);
        EXPECT(pyattach_can_handle_signals() == 0);
    };
    use(); // before one is loaded
    load_python();
    use(); // before it is started
    start_python();
    use();
    EXPECT(!stop_python());
    use(); // after its end
    EXPECT(counted == 8000);
}
TEST_CASE("a mutex with a time limit works before Python is loaded and after it ended") {
    check_succeeds("a mutex with a time limit without a Python");
}

CHILD("a thread forks, and its child waits for a mutex") {
    start_python();
    run_on_thread([] {
        attached here;
        EXPECT(pyattach_can_handle_signals() == 0);
        fork_in_python([] {
            EXPECT(pyattach_can_handle_signals() == 1);
            python_handler ctrl_c;
            c_mutex mutex;
            holder<c_mutex> owner(mutex);
            interrupt soon;
            EXPECT(pyattach_mutex_lock_for(&mutex.at, for_ever) == PYATTACH_PYTHON_ERROR);
            EXPECT(take_error() == "KeyboardInterrupt");
        });
    });
}
TEST_CASE("in a fork child the forking thread is the one whose wait Ctrl-C ends") {
    check_succeeds("a thread forks, and its child waits for a mutex");
}

CHILD("a thread that waits for a mutex with a time limit is cancelled") {
    start_python();
    static c_mutex mutex;
    static std::atomic<bool> begins{false}, has_locked{false};
    mutex.lock();
    pthread_t thread;
    EXPECT(pthread_create(
               &thread, nullptr,
               [](void *) -> void * {
                   begins = true;
                   has_locked = pyattach_mutex_lock_for(&mutex.at, 60000 * ms) == PYATTACH_OK;
                   mutex.unlock();
                   pthread_testcancel();
                   end_child(); // never reached
               },
               nullptr) == 0);
    wait_until("the thread to begin", [] { return begins.load(); });
    EXPECT(pthread_cancel(thread) == 0);
    EXPECT(!has_locked);
    mutex.unlock();
    void *outcome = nullptr;
    EXPECT(pthread_join(thread, &outcome) == 0);
    EXPECT(outcome == PTHREAD_CANCELED);
    EXPECT(has_locked);
    EXPECT(!pyattach_mutex_is_locked(&mutex.at));
}
TEST_CASE("a thread that is cancelled while it waits with a time limit gets the mutex, and ends later") {
    check_succeeds("a thread that waits for a mutex with a time limit is cancelled");
}
