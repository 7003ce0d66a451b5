// Threads that wait for a lock or a once while the interpreter ends.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <atomic>
#include <unistd.h>

using namespace support;

namespace {
constexpr long long ms = 1000000;
}

CHILD("a thread waits for a mutex through the end") {
    start_python();
    pyattach_set_exit_timeout(10 * ms);
    static pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    pyattach_mutex_lock(&mutex);
    task waiter("a thread that is parked", [] {
        attached here;
        pyattach_mutex_lock(&mutex);
        std::abort(); // it can neither be attached again nor go on without
    });
    waiter.wait_until_asleep();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    pyattach_mutex_unlock(&mutex);
    waiter.wait_until_asleep();
    // Whether the parked thread took the mutex or not, it must not keep it.
    wait_until("the mutex to be free", [] { return pyattach_mutex_try_lock(&mutex) == 1; });
    pyattach_mutex_unlock(&mutex);
    EXPECT(!waiter.has_returned());
    run_on_thread([] {
        pyattach_mutex_lock(&mutex);
        pyattach_mutex_unlock(&mutex);
    });
    waiter.abandon();
    end_child();
}
TEST_CASE("a locker whose interpreter ends while it waits is parked, and others can still take the mutex") {
    check_succeeds("a thread waits for a mutex through the end");
}

CHILD("a thread waits for a once through the end") {
    start_python();
    pyattach_set_exit_timeout(10 * ms);
    static pyattach_once once = PYATTACH_ONCE_INIT;
    static latch running("the initializer to run"), ended("the interpreter to end");
    task initializer("the initializing thread to end", [] {
        auto init = [](void *) {
            running.count_down();
            ended.wait();
            return PYATTACH_OK;
        };
        EXPECT(pyattach_once_run(&once, init, nullptr) == PYATTACH_OK);
    });
    running.wait();
    task waiter("the waiting thread to end", [] {
        pyattach_attached scope;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
        EXPECT(pyattach_once_run(
                   &once, [](void *) { return PYATTACH_OK; }, nullptr) == PYATTACH_FINALIZING);
        EXPECT(pyattach_is_attached() == 0);
        EXPECT(pyattach_attach_depth() == 0);
        pyattach_attached_end(&scope); // inert
        EXPECT(pyattach_once_run(
                   &once, [](void *) { return PYATTACH_INVALID; }, nullptr) == PYATTACH_OK);
    });
    waiter.wait_until_asleep();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    ended.count_down();
    initializer.join();
    waiter.join();
}
TEST_CASE("a thread that waits for a once while its interpreter ends gets FINALIZING") {
    check_succeeds("a thread waits for a once through the end");
}

CHILD("a thread waits for a once whose initializer never comes back") {
    start_python();
    pyattach_set_exit_timeout(10 * ms);
    static pyattach_once once = PYATTACH_ONCE_INIT;
    static latch running("the initializer to run");
    task initializer("the initializing thread to be parked", [] {
        attached here;
        auto init = [](void *) {
            detached gap;
            running.count_down();
            for (;;)
                pause();
            return PYATTACH_OK;
        };
        EXPECT(pyattach_once_run(&once, init, nullptr) == PYATTACH_OK);
    });
    running.wait();
    task waiter("the waiting thread to end", [] {
        pyattach_attached scope;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
        EXPECT(pyattach_once_run(
                   &once, [](void *) { return PYATTACH_OK; }, nullptr) == PYATTACH_FINALIZING);
        pyattach_attached_end(&scope); // inert
    });
    waiter.wait_until_asleep();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    waiter.join();
    initializer.abandon();
    end_child();
}
TEST_CASE("a thread that waits for a once is not kept by an initializer that was parked") {
    check_succeeds("a thread waits for a once whose initializer never comes back");
}

CHILD("a thread sits in a gap inside critical sections through the end") {
    start_python();
    static pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    static latch in_gap("the gap"), ended("the interpreter to end");
    task sitter("the thread with the sections to end", [] {
        pyattach_attached scope;
        pyattach_critical_section on_object, on_mutex;
        pyattach_detached gap;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
        object *reference = eval("[]").release();
        EXPECT(pyattach_critical_section_begin(&on_object, reference) == PYATTACH_OK);
        EXPECT(pyattach_critical_section_begin_mutex(&on_mutex, &mutex) == PYATTACH_OK);
        EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
        in_gap.count_down();
        ended.wait();
        EXPECT(pyattach_detached_end(&gap) == PYATTACH_FINALIZING);
        pyattach_critical_section_end(&on_mutex);
        pyattach_critical_section_end(&on_object);
        pyattach_attached_end(&scope);
        EXPECT(pyattach_mutex_try_lock(&mutex) == 1);
        pyattach_mutex_unlock(&mutex);
    });
    in_gap.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    ended.count_down();
    sitter.join();
}
TEST_CASE("a section whose interpreter has ended is inert") {
    check_succeeds("a thread sits in a gap inside critical sections through the end");
}

CHILD("locks and onces without a Python") {
    static pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    static pyattach_once once = PYATTACH_ONCE_INIT;
    static int counter, made;
    auto use = [] {
        for (int round = 0; round < 1000; ++round) {
            pyattach_mutex_lock(&mutex);
            ++counter;
            pyattach_mutex_unlock(&mutex);
        }
        auto init = [](void *) {
            ++made;
            return PYATTACH_OK;
        };
        EXPECT(pyattach_once_run(&once, init, nullptr) == PYATTACH_OK);
    };
    auto use_on_threads = [&] { task first("the first thread to end", use), second("the second thread to end", use); };
    use_on_threads(); // before one is loaded
    load_python();
    use_on_threads(); // before it is started
    start_python();
    use_on_threads();
    EXPECT(!stop_python());
    use_on_threads(); // after its end
    EXPECT(counter == 8 * 1000);
    EXPECT(made == 1);
}
TEST_CASE("mutex and once work before Python is loaded and after it ended") {
    check_succeeds("locks and onces without a Python");
}
