// Group 7, the rest: native threads that attach and end.
#include "conformance/conformance.hpp"

namespace {

latch exit_began("the exit to begin");

// Starts threads that attach and end, so that the library deletes the tstates that wait.
void provoke_reaper() {
    for (int i = 0; i < 70; ++i)
        run_on_thread([] { attached here; });
}

} // namespace

CHILD("ends Python with a thread inside, and one that left before") {
    start_python();
    auto begin = [](pyattach_interpreter *, void *) { exit_began.count_down(); };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), begin, nullptr) == PYATTACH_OK);
    latch inside("the thread to be inside"), left("the other thread to have left"), ended("Python to have ended");
    std::atomic<bool> was_waited_for{false}, survived{false};
    task stays("the thread inside to end", [&] {
        attached here;
        {
            foreign_detach gap;
            inside.count_down();
            exit_began.wait();
        }
        // The gate is closed; a thread inside still has an interpreter, and scopes nest.
        EXPECT(eval_int("6 * 7") == 42);
        EXPECT(try_to_attach() == PYATTACH_OK);
        was_waited_for = true;
    });
    task leaves("the thread that left to end", [&] {
        { attached here; }
        left.count_down();
        ended.wait();
        survived = try_to_attach() == PYATTACH_NOT_INITIALIZED;
    });
    inside.wait();
    left.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(was_waited_for);
    ended.count_down();
    stays.join();
    leaves.join();
    EXPECT(survived);
}
TEST_CASE("jni-rs test_destroy") { check_succeeds("ends Python with a thread inside, and one that left before"); }

TEST_CASE("CPython test_foreign_thread") {
    start_python();
    run_on_thread([] {
        {
            attached here;
            run("import threading\nfirst = threading.current_thread()\n");
            CHECK(eval_true("isinstance(first, threading._DummyThread)"));
            CHECK(eval_true("threading._active[threading.get_ident()] is first"));
            CHECK(eval_true("first.is_alive()"));
        }
        attached again;
        bool is_same = eval_true("threading.current_thread() is first");
        // 3.12.0 to 3.12.2 and newer make one _DummyThread a tstate; a debug build keeps no tstates.
        if (keeps_tstates())
            CHECK(is_same);
        run("del first");
    });
}

TEST_CASE("CPython call_in_temporary_c_thread and its generator test") {
    start_python();
    {
        attached here;
        run("import sys\n"
            "lines = []\n"
            "def tracer(frame, event, argument):\n"
            "    lines.append(event)\n"
            "    return tracer\n"
            "def count():\n"
            "    for i in range(10): yield i\n"
            "generator = count()\n");
    }
    auto step = [] {
        attached here;
        run("sys.settrace(tracer)\nnext(generator)\nsys.settrace(None)\n");
    };
    for (pyattach_thread_policy each : {PYATTACH_THREADS_WARM, PYATTACH_THREADS_SCOPED}) {
        policy thread_policy(each);
        run_on_thread(step);
        run_on_thread(step);
        provoke_reaper(); // the states it first ran on are gone now
    }
    step();
    attached here;
    CHECK(eval_int("next(generator)") == 5);
    CHECK(eval_int("lines.count('line')") > 0);
    run("del generator, lines");
}

// The native thread deletes its tstate after every attach.
void race_with_deletions(pyattach_thread_policy each) {
    policy thread_policy(each);
    std::atomic<bool> done{false};
    std::atomic<int> destroyed{0};
    task native("the native thread to end", [&] {
        while (!done) {
            {
                attached here;
                run("import threading\n"
                    "for one in list(globals().get('locals_of_race', ())): one.value = [threading.local()]\n");
            }
            EXPECT(pyattach_thread_release() == PYATTACH_OK);
            ++destroyed;
        }
    });
    {
        attached here;
        run("import threading\nlocals_of_race = []\n");
        for (int i = 0; i < 1000; ++i) {
            run("locals_of_race.append(threading.local())\n"
                "locals_of_race[-1].value = 1\n"
                "if len(locals_of_race) > 5: del locals_of_race[:3]\n");
            detached gap;
            sched_yield();
        }
    }
    wait_until("the native thread to have had its turn", [&] { return destroyed > 10; });
    done = true;
    native.join();
    attached here;
    CHECK(eval_int("len(locals_of_race)") <= 5);
    run("del locals_of_race");
}
TEST_CASE("CPython test_threading_local_clear_race") {
    start_python();
    race_with_deletions(PYATTACH_THREADS_SCOPED);
    race_with_deletions(PYATTACH_THREADS_WARM);
}

TEST_CASE("PyO3 issue 5467") {
    start_python();
    for (pyattach_thread_policy each : {PYATTACH_THREADS_WARM, PYATTACH_THREADS_SCOPED}) {
        policy thread_policy(each);
        run_on_thread([&] {
            {
                attached here;
                make_thread_local();
                run("local.value = 'mine'");
            }
            attached again;
            CHECK(eval_true("hasattr(local, 'value')") == (each == PYATTACH_THREADS_WARM && keeps_tstates()));
        });
        run_on_thread([] {
            attached another_thread;
            CHECK_FALSE(eval_true("hasattr(local, 'value')"));
        });
    }
}

CHILD("reaps 200 rounds of threads") {
    start_python();
    auto before = all_counters();
    {
        attached here;
        make_thread_local();
        run("died = []\nclass Value:\n    def __del__(self): died.append(1)\n");
    }
    for (int round = 0; round < 200; ++round) {
        run_on_threads(4, "a thread of the round to end", [](int) {
            for (int attach = 0; attach < 3; ++attach) {
                attached here;
                run("local.value = Value()");
                attached nested;
            }
        });
        EXPECT(all_counters().states_dead < 100);
    }
    EXPECT(all_counters().states_created - before.states_created == (keeps_tstates() ? 800 : 2400));
    provoke_reaper();
    auto after = all_counters();
    EXPECT(after.states_deleted - before.states_deleted + after.states_dead - before.states_dead ==
           after.states_created - before.states_created);
    EXPECT(after.states_dead < 100);
    {
        attached here;
        // Of three values of a thread the last dies with its state, once it is deleted.
        EXPECT(static_cast<std::uint64_t>(eval_int("len(died)")) + after.states_dead >= 2400);
    }
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
}
TEST_CASE("ext: reaping") { check_succeeds("reaps 200 rounds of threads"); }
