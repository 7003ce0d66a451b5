// The mutex with a time limit: who gets it, who gives up, and what Ctrl-C does.
#include "support/catch.hpp"
#include "support/every_thread.hpp"
#include "support/interrupt.hpp"
#include "support/mutex_holder.hpp"
#include "support/pending_exception.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"

#include <chrono>
#include <climits>
#include <sched.h>

using namespace support;

namespace {

constexpr long long ms = 1000000, for_ever = -1, minute = 60000 * ms;

} // namespace

TEST_CASE("a free mutex is locked without detaching, whatever the time limit") {
    start_python();
    attached here;
    c_mutex mutex;
    const std::uint64_t before = detaches();
    for (long long limit : {0ll, 1ll, minute, for_ever, LLONG_MAX, LLONG_MIN}) {
        CHECK(pyattach_mutex_lock_for(&mutex.at, limit) == PYATTACH_OK);
        CHECK(pyattach_mutex_is_locked(&mutex.at));
        mutex.unlock();
    }
    CHECK(detaches() == before);
    CHECK(pyattach_mutex_lock_for(nullptr, 0) == PYATTACH_INVALID);
}

TEST_CASE("a mutex that stays locked is given up after the time limit, on every kind of thread") {
    start_python();
    c_mutex mutex;
    holder<c_mutex> other(mutex);
    on_every_kind_of_thread([&] {
        EXPECT(pyattach_mutex_lock_for(&mutex.at, 2 * ms) == PYATTACH_TIMED_OUT);
        EXPECT(pyattach_mutex_is_locked(&mutex.at));
    });
}

TEST_CASE("a time limit of 0 does not detach") {
    start_python();
    attached here;
    c_mutex mutex;
    holder<c_mutex> other(mutex);
    const std::uint64_t before = detaches();
    CHECK(pyattach_mutex_lock_for(&mutex.at, 0) == PYATTACH_TIMED_OUT);
    CHECK(detaches() == before);
}

TEST_CASE("a mutex that is unlocked in time by a thread that needs Python is locked") {
    start_python();
    for (long long limit : {minute, for_ever, LLONG_MAX})
        on_every_kind_of_thread([&] {
            c_mutex mutex;
            latch is_held("the mutex to be held"), wanted("the mutex to be wanted");
            task owner("the owner to end", [&] {
                mutex.lock();
                is_held.count_down();
                wanted.wait();
                attached there;
                EXPECT(eval_int("6 * 7") == 42);
                mutex.unlock();
            });
            is_held.wait();
            wanted.count_down();
            EXPECT(pyattach_mutex_lock_for(&mutex.at, limit) == PYATTACH_OK);
            EXPECT(pyattach_mutex_is_locked(&mutex.at));
            mutex.unlock();
            if (!cpython_says_attached())
                return;
            detached gap;
            owner.join();
        });
}

TEST_CASE("inside a forbidden scope the wait for a mutex does not detach") {
    start_python();
    attached here;
    c_mutex mutex;
    holder<c_mutex> other(mutex);
    const std::uint64_t before = detaches();
    {
        forbidden traversing;
        CHECK(pyattach_mutex_lock_for(&mutex.at, 2 * ms) == PYATTACH_TIMED_OUT);
    }
    CHECK(detaches() == before);
}

TEST_CASE("Ctrl-C ends the wait of the main thread for a mutex") {
    start_python();
    attached here;
    python_handler ctrl_c;
    c_mutex mutex;
    holder<c_mutex> other(mutex); // for longer than the wait lasts
    for (long long limit : {minute, for_ever}) {
        interrupt soon;
        CHECK(pyattach_mutex_lock_for(&mutex.at, limit) == PYATTACH_PYTHON_ERROR);
        CHECK(cpython_says_attached());
        CHECK(take_error() == "KeyboardInterrupt");
        soon.join();
    }
    other.release();
    CHECK(pyattach_mutex_lock_for(&mutex.at, for_ever) == PYATTACH_OK); // it was not locked, nor is it kept
    mutex.unlock();
}

TEST_CASE("a signal handler that returns lets the main thread go on waiting for a mutex") {
    start_python();
    attached here;
    latch handled("the handler to run");
    publish("handle", native_function([&] { handled.count_down(); }));
    python_handler counting("lambda number, frame: handle()");
    c_mutex mutex;
    latch is_held("the mutex to be held");
    task owner("the owner to end", [&] {
        mutex.lock();
        is_held.count_down();
        handled.wait();
        mutex.unlock();
    });
    is_held.wait();
    interrupt soon;
    CHECK(pyattach_mutex_lock_for(&mutex.at, for_ever) == PYATTACH_OK);
    CHECK(handled.is_open());
    mutex.unlock();
}

TEST_CASE("pyattach_mutex_lock runs no signal handler") {
    start_python();
    attached here;
    run("ran = []");
    python_handler noting("lambda number, frame: ran.append(number)");
    c_mutex mutex;
    latch is_held("the mutex to be held");
    task owner("the owner to end", [&] {
        mutex.lock();
        is_held.count_down();
        wait_until("the main thread to sleep", [] { return is_asleep(getpid()); });
        EXPECT(kill(getpid(), SIGINT) == 0);
        const std::uint64_t before = detaches(); // a wait that runs handlers would have detached again twice
        const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(250);
        wait_until("some time to pass", [&] { return std::chrono::steady_clock::now() > end; });
        EXPECT(detaches() == before);
        mutex.unlock();
    });
    is_held.wait();
    mutex.lock();
    mutex.unlock();
    run("assert ran == [signal.SIGINT]"); // now
}

TEST_CASE("with an exception pending, the wait for a mutex runs no signal handler and keeps the exception") {
    start_python();
    attached here;
    python_handler ctrl_c;
    c_mutex mutex;
    holder<c_mutex> other(mutex);
    raise_value_error("pending");
    REQUIRE(kill(getpid(), SIGINT) == 0);
    CHECK(pyattach_can_handle_signals() == 0);
    CHECK(pyattach_mutex_lock_for(&mutex.at, 250 * ms) == PYATTACH_TIMED_OUT);
    object *taken = nullptr; // without its text, whose making would run the handler
    CHECK(pyattach_error_take(&taken) == PYATTACH_OK);
    ref raised(taken);
    CHECK(pyattach_check_signals() == PYATTACH_PYTHON_ERROR); // only now
    CHECK(take_error() == "KeyboardInterrupt");
    CHECK(is_true_of(raised, "str(it) == 'pending'"));
}

TEST_CASE("only the main thread attaches again during the wait for a mutex") {
    start_python();
    c_mutex mutex;
    holder<c_mutex> other(mutex);
    const auto wait = [&] {
        attached here;
        const std::uint64_t before = detaches();
        EXPECT(pyattach_mutex_lock_for(&mutex.at, 250 * ms) == PYATTACH_TIMED_OUT);
        return detaches() - before;
    };
    CHECK(run_on_thread(wait) == 1);
    CHECK(wait() >= 2);
}

TEST_CASE("a thread that attaches again with the mutex locked releases nothing from the pool") {
    start_python();
    attached here;
    run("class Noisy:\n    gone = 0\n    def __del__(self): Noisy.gone += 1");
    ref noisy = eval("Noisy()");
    c_mutex mutex;
    latch is_held("the mutex to be held"), wanted("the mutex to be wanted");
    task owner("the owner to end", [&] {
        mutex.lock();
        is_held.count_down();
        wanted.wait();
        noisy.drop();
        mutex.unlock();
    });
    is_held.wait();
    wanted.count_down();
    REQUIRE(pyattach_mutex_lock_for(&mutex.at, minute) == PYATTACH_OK);
    CHECK(eval_int("Noisy.gone") == 0);
    mutex.unlock();
    {
        detached gap;
        owner.join();
    }
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(eval_int("Noisy.gone") == 1);
}

TEST_CASE("no wake-up is lost between threads that give up and threads that do not") {
    start_python();
    c_mutex mutex;
    int counted = 0;
    std::atomic<int> expected{0};
    run_on_threads(4, "the counting threads to end", [&](int thread) {
        for (int round = 0; round < 2000; ++round) {
            pyattach_status status = PYATTACH_OK;
            if (thread % 2)
                mutex.lock();
            else
                status = pyattach_mutex_lock_for(&mutex.at, round % 3 * 1000);
            EXPECT(status == PYATTACH_OK || status == PYATTACH_TIMED_OUT);
            if (status != PYATTACH_OK)
                continue;
            ++counted;
            ++expected;
            if (round % 16 == 0)
                sched_yield();
            mutex.unlock();
        }
    });
    CHECK(counted == expected);
    CHECK(expected >= 4000);
    CHECK_FALSE(pyattach_mutex_is_locked(&mutex.at));
}
