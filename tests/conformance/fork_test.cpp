// Group 11: fork.
#include "conformance/conformance.hpp"
#include "support/fork.hpp"

#include <csignal>
#include <cstdlib>
#include <functional>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

// Through os.fork, which runs Python's hooks; the thread is attached before and after it, on either side.
pid_t python_fork() {
    run("import os, warnings\nwarnings.simplefilter('ignore')\nchild = os.fork()\n");
    return static_cast<pid_t>(eval_int("child"));
}

// Waits detached, so that other threads of the parent go on.
void parent_waits(pid_t child) {
    detached gap;
    expect_exit_0(child);
}

void stop_in_child() {
    pyattach_status status = pyattach_interpreter_stop();
    EXPECT_SENTENCE(status == PYATTACH_OK, pyattach_status_message(status));
}

void fork_on_native_thread(bool with_dummy) {
    start_python();
    run_on_thread([&] {
        attached here;
        run("import threading");
        if (with_dummy)
            run("threading.current_thread()");
        pid_t child = python_fork();
        if (child == 0)
            live_in_child([&] {
                EXPECT(cpython_says_attached());
                EXPECT(pyattach_is_attached());
                EXPECT(pyattach_attach_depth() == 1);
                EXPECT(eval_true("threading.current_thread() is threading.main_thread()"));
                EXPECT(eval_int("len(threading.enumerate())") == 1);
                EXPECT(eval_int("len(threading._active)") == 1);
                // Before 3.13 `threading` stumbles here, over a lock that such a main thread does not have; from then
                // on the runtime does in Py_FinalizeEx, over the state of the main thread that is gone.
                if (python_version() >= python_3_13) {
                    run("threading._shutdown()");
                    here.end();
                    EXPECT(try_to_attach() == PYATTACH_OK);
                    return;
                }
                pyattach_set_exit_timeout(-1); // only the finalizing thread is inside
                EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
                EXPECT(!pyattach_is_attached());
                EXPECT(all_counters().exit_timeouts == 0);
            });
        parent_waits(child);
    });
    EXPECT(!stop_python());
}

} // namespace

CHILD("forks on a native thread") { fork_on_native_thread(child_arguments().at(0) == "dummy"); }
TEST_CASE("CPython test_main_thread_after_fork_from_foreign_thread") {
    for (const char *with : {"dummy", "none"})
        check_succeeds("forks on a native thread", {{with}});
}

CHILD("identities after fork") {
    start_python();
    attached here;
    pid_t child = python_fork();
    if (child == 0)
        live_in_child([&] {
            EXPECT(eval_int("__import__('threading').get_native_id()") == syscall(SYS_gettid));
            here.end();
            // A thread whose kernel id the library remembers wrongly would never be seen to be gone, or too early.
            auto before = all_counters();
            for (int i = 0; i < 100; ++i)
                run_on_thread([] { attached there; });
            auto after = all_counters();
            EXPECT(after.states_created - before.states_created == 100);
            EXPECT(after.states_dead < 100);
            stop_in_child();
        });
    parent_waits(child);
    here.end();
    EXPECT(!stop_python());
}
TEST_CASE("CPython test_native_id_after_fork") { check_succeeds("identities after fork"); }

CHILD("forks while others are inside") {
    start_python();
    latch inside("the threads to be inside", 4), may_end("permission to end");
    std::vector<std::unique_ptr<task>> tasks;
    for (int i = 0; i < 4; ++i)
        tasks.push_back(std::make_unique<task>("a thread inside to end", [&, i] {
            attached here;
            if (i % 2) {
                detached gap;
                inside.count_down();
                may_end.wait();
            } else {
                foreign_detach gap;
                inside.count_down();
                may_end.wait();
            }
        }));
    inside.wait();
    attached here;
    run("died = []");
    ref waits_in_pool = object_with_finalizer("died.append(1)");
    {
        foreign_detach gap;
        waits_in_pool.drop();
    }
    EXPECT(pyattach_pool_size() == 1);
    pid_t child = python_fork();
    if (child == 0)
        live_in_child([&] {
            EXPECT(pyattach_pool_drain() == PYATTACH_OK); // kept
            EXPECT(eval_int("len(died)") == 1);
            for (int i = 0; i < 10; ++i)
                run_on_thread([] {}); // new threads with the old ones' places
            {
                detached gap;
                run_on_thread([] {
                    attached there;
                    EXPECT(eval_int("6 * 7") == 42);
                });
            }
            pyattach_set_exit_timeout(-1); // there is no thread to wait for
            here.end();
            stop_in_child();
            EXPECT(all_counters().exit_timeouts == 0);
        });
    parent_waits(child);
    here.end();
    may_end.count_down();
    for (auto &thread : tasks)
        thread->join();
    EXPECT(!stop_python());
}
TEST_CASE("ext: fork while others are inside") { check_succeeds("forks while others are inside"); }

// While a thread is inside, the library holds a PEP 788 guard on 3.15, else its own gate.
CHILD("forks while another thread holds a guard") {
    start_python();
    latch inside("the thread to be inside"), may_end("permission to end");
    task holder("the thread inside to end", [&] {
        attached there(pyattach_interpreter_main());
        detached gap;
        inside.count_down();
        may_end.wait();
    });
    inside.wait();
    attached here;
    pid_t child = python_fork();
    if (child == 0)
        live_in_child([&] {
            here.end();
            pyattach_set_exit_timeout(-1);
            stop_in_child();
        });
    parent_waits(child);
    here.end();
    may_end.count_down();
    holder.join();
    EXPECT(!stop_python());
}
TEST_CASE("ext: fork while another thread holds a guard") {
    check_succeeds("forks while another thread holds a guard");
}

CHILD("plain fork") {
    start_python();
    for (bool is_attached : {false, true}) {
        std::unique_ptr<attached> here;
        if (is_attached)
            here = std::make_unique<attached>();
        pid_t child = fork();
        if (child == 0)
            live_in_child([&] {
                if (is_attached) { // still attached, whichever thread held the GIL at the fork
                    EXPECT(eval_int("1") == 1);
                    std::_Exit(0);
                }
                // No other thread was inside, so the first attach repairs Python.
                pyattach_status status = try_to_attach();
                EXPECT_SENTENCE(status == PYATTACH_OK, pyattach_status_message(status));
            });
        expect_exit_0(child);
    }
    EXPECT(!stop_python());
}
TEST_CASE("ext: plain fork") { check_succeeds("plain fork"); }
