// Housekeeping and the life of the process: an end of Python, the next start, and forks.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/fork.hpp"
#include "support/housekeeping.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <atomic>

using namespace support;

namespace {

// Not attached. Gives a reference back on another thread.
void queue_one() {
    run_on_thread([] {
        ref object;
        {
            attached here;
            object = new_object();
        }
        pyattach_decref(object.release());
    });
}

// The same, and waits until housekeeping has released it.
void have_one_released() {
    const std::uint64_t before = released_from_pools();
    queue_one();
    wait_until("a reference to be released", [&] { return released_from_pools() > before; });
}

// A destructor on the housekeeping thread that has begun and never returns.
struct endless_destructor {
    latch has_begun{"the destructor to begin"};

    // On a thread that has ended when this returns, so that a free-threaded Python has no other thread to ask.
    void begin() {
        run_on_thread([this] {
            ref object;
            {
                attached here;
                publish("slow", native_function([this] {
                            detached gap;
                            has_begun.count_down();
                            for (;;)
                                pause();
                        }));
                object = object_with_finalizer("slow()");
                run("import gc\ngc.collect()");
            }
            pyattach_decref(object.release());
        });
        has_begun.wait();
    }
};

} // namespace

CHILD("housekeeping: it ends with Python, and the next Python has its own") {
    housekeeping on;
    for (int life = 0; life < 3; ++life) {
        start_python();
        EXPECT(housekeeping_thread() == 0);
        have_one_released();
        EXPECT(housekeeping_thread() != 0);
        EXPECT(stop_python() == nullptr);
        EXPECT(housekeeping_thread() == 0);
    }
}
TEST_CASE("the housekeeping thread ends with Python, and the next Python has another one") {
    check_succeeds("housekeeping: it ends with Python, and the next Python has its own");
}

CHILD("housekeeping: what waits at the end") {
    housekeeping on(7200000000000);
    start_python();
    static std::atomic<bool> is_finalized{false};
    {
        attached here;
        publish("finalized", native_function([] { is_finalized = true; }));
        ref object = object_with_finalizer("finalized()");
        detached gap;
        run_on_thread([&] { object.drop(); });
        wait_until("the thread to be there", [] { return housekeeping_thread() != 0; });
    }
    EXPECT(stop_python() == nullptr);
    EXPECT(is_finalized);
    EXPECT(all_counters().drops_leaked == 0);
}
TEST_CASE("the end of Python releases what waits, without waiting for the release delay") {
    check_succeeds("housekeeping: what waits at the end");
}

CHILD("housekeeping: a destructor that does not return") {
    housekeeping on;
    messages said;
    start_python();
    static endless_destructor slow;
    slow.begin();
    pyattach_set_exit_timeout(200000000);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK); // it is detached inside, and left behind
    pyattach_set_exit_timeout(10000000000);
    EXPECT(pyattach_interpreter_start() == PYATTACH_OK);
    have_one_released();
    end_child();
}
TEST_CASE("a destructor that does not return leaves the next Python with a housekeeping thread of its own") {
    check_succeeds("housekeeping: a destructor that does not return");
}

CHILD("housekeeping: the host ends Python without its atexit callbacks") {
    housekeeping on;
    start_python();
    have_one_released();
    {
        attached here;
        run("import atexit\natexit._clear()");
    }
    EXPECT(stop_python() == nullptr);
    start_python();
    have_one_released();
    EXPECT(stop_python() == nullptr);
}
TEST_CASE("an end of Python that the library learns of late leaves the next one with a housekeeping thread") {
    check_succeeds("housekeeping: the host ends Python without its atexit callbacks");
}

CHILD("housekeeping: os.fork") {
    housekeeping on;
    start_python();
    have_one_released();
    EXPECT(housekeeping_thread() != 0);
    attached here;
    run("import warnings\nwarnings.simplefilter('error')"); // from 3.12 on CPython warns of a fork beside threads
    const pid_t child = fork_by_os();
    if (child == 0)
        live_in_child([] {
            EXPECT(housekeeping_thread() == 0);
            detached gap;
            have_one_released();
            EXPECT(housekeeping_thread() != 0);
        });
    detached gap;
    expect_exit_0(child);
    have_one_released();
}
TEST_CASE("os.fork() finds no housekeeping thread, and both processes make one when they need it") {
    check_succeeds("housekeeping: os.fork");
}

CHILD("housekeeping: what waits at a fork") {
    housekeeping on(7200000000000);
    start_python();
    pyattach_set_drain_budget(0); // only housekeeping releases it
    attached here;
    ref object = new_object();
    EXPECT(pyattach_incref(object) == PYATTACH_OK);
    {
        detached gap;
        run_on_thread([&] { pyattach_decref(object); });
    }
    EXPECT(pyattach_pool_size() == 1);
    fork_in_python([] {
        pyattach_set_release_delay(20000000);
        detached gap;
        wait_until("it to be released in the child", [] { return pyattach_pool_size() == 0; });
    });
    pyattach_set_release_delay(20000000);
    detached gap;
    wait_until("it to be released in the parent", [] { return pyattach_pool_size() == 0; });
}
TEST_CASE("what waits at a fork is released in the parent and in the child, by a thread of each") {
    check_succeeds("housekeeping: what waits at a fork");
}

CHILD("housekeeping: a daemon") {
    housekeeping on(2000000); // it is at work nearly all the time
    start_python();
    for (int i = 0; i < 20; ++i) {
        std::atomic<bool> is_over{false};
        task busy("the busy thread to end", [&] {
            while (!is_over)
                have_one_released();
        });
        have_one_released();
        is_over = true;
        busy.join();
        const pid_t child = fork();
        if (child == 0)
            live_in_child([] {
                attached here;
                EXPECT(eval_int("40 + 2") == 42);
            });
        expect_exit_0(child);
    }
}
TEST_CASE("a raw fork by a thread that is not attached waits for the housekeeping thread, so its child may attach") {
    check_succeeds("housekeeping: a daemon");
}

CHILD("housekeeping: a raw fork on an attached thread") {
    start_python();
    if (is_free_threaded())
        return;
    housekeeping on(0);
    attached here;
    for (int i = 0; i < 20; ++i) {
        ref object = new_object();
        run_on_thread([&] { object.drop(); });
        wait_until("the housekeeping thread to wait for the GIL", [] {
            const pid_t thread = housekeeping_thread();
            return thread && is_asleep(thread);
        });
        EXPECT(pyattach_pool_size() == 1);
        const pid_t child = fork();
        if (child == 0) {
            EXPECT(pyattach_forked() == PYATTACH_OK);
            live_in_child([] { EXPECT(eval_int("40 + 2") == 42); });
        }
        detached gap;
        expect_exit_0(child);
    }
}
TEST_CASE("a raw fork by a thread that holds the GIL does not find the housekeeping thread inside") {
    check_succeeds("housekeeping: a raw fork on an attached thread");
}

CHILD("housekeeping: forks in quick succession") {
    housekeeping on(200000000);
    start_python();
    have_one_released(); // the hooks are there
    const std::uint64_t before = released_from_pools();
    queue_one();
    wait_until("the reference to be released", [&] {
        const pid_t child = fork();
        if (child == 0)
            _exit(0);
        expect_exit_0(child);
        return released_from_pools() > before;
    });
}
TEST_CASE("forks in quick succession do not keep the housekeeping thread from its work") {
    check_succeeds("housekeeping: forks in quick succession");
}

CHILD("housekeeping: a destructor forks") {
    housekeeping on;
    start_python();
    static std::atomic<int> outcome{-1};
    run_on_thread([] {
        ref object;
        {
            attached here;
            publish("fork_here", native_function([] {
                        fork_in_python([] { EXPECT(eval_int("40 + 2") == 42); });
                        outcome = 0;
                    }));
            object = object_with_finalizer("fork_here()");
            run("import gc\ngc.collect()");
        }
        pyattach_decref(object.release());
    });
    wait_until("the destructor to fork", [] { return outcome == 0; });
    have_one_released();
}
TEST_CASE("a destructor on the housekeeping thread may fork") { check_succeeds("housekeeping: a destructor forks"); }
