// What a forked child keeps and what it forgets. The storm of forks is in tests/stress.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"

#include <cstdio>
#include <memory>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "api/thread_states.hpp"
#include "stress/plain_python.hpp"

using namespace support;

namespace {

void expect_exit_0(pid_t child) {
    int status = 0;
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT_SENTENCE(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with " + std::to_string(status));
}

// Attached, in whatever way. Returns twice, as fork() does.
pid_t fork_by_os() {
    auto *long_of = cpython<long long(object *)>("PyLong_AsLongLong");
    auto *import = cpython<object *(const char *)>("PyImport_ImportModule");
    auto *call = cpython<object *(object *, const char *, const char *, ...)>("PyObject_CallMethod");
    object *os = import("os");
    object *result = call(os, "fork", nullptr);
    EXPECT(result);
    auto child = static_cast<pid_t>(long_of(result));
    auto *decref = cpython<void(object *)>("Py_DecRef");
    decref(result);
    decref(os);
    return child;
}

// Attached; as os.fork() does it. In the child `live` runs, still attached, and what it throws fails the parent.
void fork_in_python(const std::function<void()> &live) {
    run("import warnings; warnings.simplefilter('ignore')");
    pid_t child = fork_by_os();
    if (child == 0) {
        alarm(20);
        try {
            live();
        } catch (const std::exception &error) {
            std::fprintf(stderr, "in the forked child: %s\n", error.what());
            std::_Exit(9);
        }
        std::fflush(stdout);
        std::_Exit(0);
    }
    detached gap;
    expect_exit_0(child);
}

// As a program that knows nothing of Python does it.
void fork_plainly(const std::function<void()> &live) {
    std::fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        try {
            live();
        } catch (const std::exception &error) {
            std::fprintf(stderr, "in the forked child: %s\n", error.what());
            std::_Exit(9);
        }
        std::fflush(stdout);
        std::_Exit(0);
    }
    expect_exit_0(child);
}

void use_python() {
    attached here;
    EXPECT(eval_int("6 * 7") == 42);
}

// Threads that are where they are while something happens elsewhere: attached before, then warm, or in a gap.
class bystanders {
  public:
    explicit bystanders(int number) : there_("the bystanders to be there", number) {
        for (int i = 0; i < number; ++i)
            tasks_.push_back(std::make_unique<task>("a bystander to end", [this, i] {
                ref mine;
                {
                    attached here;
                    mine = new_object();
                    if (i % 2) {
                        detached gap;
                        mine.drop(); // queued
                        there_.count_down();
                        may_go_.wait();
                    }
                }
                if (i % 2 == 0) {
                    mine.drop();
                    there_.count_down();
                    may_go_.wait();
                }
            }));
        there_.wait();
    }
    ~bystanders() { may_go_.count_down(); } // also of a test that failed
    void let_go() {
        may_go_.count_down();
        for (auto &one : tasks_)
            one->join();
    }

  private:
    latch there_, may_go_{"permission to go"};
    std::vector<std::unique_ptr<task>> tasks_;
};

} // namespace

CHILD("a child with queued references") {
    start_python();
    attached here;
    run("deaths = []");
    ref mine = object_whose_death("deaths.append('mine')"), theirs = object_whose_death("deaths.append('theirs')");
    {
        detached gap;
        run_on_thread([&] { theirs.drop(); }); // that thread has ended
        mine.drop();
        EXPECT(pyattach_pool_size() == 2);
        // A drain on the way back would release them before the fork.
        pyattach_set_drain_budget(0);
    }
    EXPECT(pyattach_pool_size() == 2);
    fork_in_python([] {
        EXPECT(pyattach_pool_size() == 2);
        EXPECT(pyattach_pool_drain() == PYATTACH_OK);
        EXPECT(eval_text("' '.join(sorted(deaths))") == "mine theirs");
        EXPECT(all_counters().drops_leaked == 0);
    });
    EXPECT(pyattach_pool_size() == 2); // the parent's are its own
    EXPECT(pyattach_pool_drain() == PYATTACH_OK);
    EXPECT(eval_int("len(deaths)") == 2);
}
TEST_CASE("references that were queued before a fork are released in the child, and in the parent") {
    check_succeeds("a child with queued references");
}

CHILD("a child of which a thread was draining") {
    start_python();
    static latch draining("a drain to be under way"), may_go_on("permission to go on");
    pyattach_set_drain_budget(0);
    {
        attached here;
        publish("pause", native_function([] {
                    detached gap;
                    draining.count_down();
                    may_go_on.wait();
                }));
    }
    task drain("the draining thread to end", [] {
        attached here; // the thread that made them: without a GIL others leave the end of an object to it
        ref blocking = object_whose_death("pause()");
        std::vector<ref> others;
        for (int i = 0; i < 5; ++i)
            others.push_back(new_object());
        {
            detached gap;
            blocking.drop();
            others.clear();
        }
        EXPECT(pyattach_pool_drain() == PYATTACH_OK);
    });
    draining.wait();
    {
        attached here;
        fork_in_python([] {
            // Five were in the hands of a thread that is not here; the sixth was being released.
            EXPECT(all_counters().drops_leaked == 5);
            EXPECT(pyattach_pool_size() == 0);
            ref one = new_object();
            detached gap;
            one.drop();
            EXPECT(pyattach_pool_size() == 1);
        });
    }
    may_go_on.count_down();
    drain.join();
    EXPECT(all_counters().drops_leaked == 0);
    EXPECT(!stop_python());
}
TEST_CASE("a batch that another thread was releasing at the fork is counted as lost in the child") {
    check_succeeds("a child of which a thread was draining");
}

CHILD("a child among warm and detached threads") {
    start_python();
    use_python();
    bystanders others(6);
    auto fork_and_live = [] {
        void *mine = current_state();
        auto counted = all_counters();
        fork_in_python([&] {
            EXPECT(current_state() == mine);
            EXPECT(all_counters().attaches >= counted.attaches); // what ended and forgotten threads did still counts
            EXPECT(all_counters().states_dead == 0);
            EXPECT(eval_int("1") == 1);
            run("import threading\n"
                "assert threading.main_thread() is threading.current_thread()\n"
                "assert threading.active_count() == 1, threading.enumerate()\n");
            {
                detached gap;
                for (int i = 0; i < 3; ++i)
                    run_on_thread(use_python);
                use_python();
            }
            EXPECT(current_state() == mine);
            fork_in_python([] { run_on_thread([] {}); });
        });
    };
    {
        attached here;
        fork_and_live();
    }
    run_on_thread([&] { // CPython test_main_thread_after_fork_from_foreign_thread
        attached here;
        fork_and_live();
    });
    others.let_go();
    EXPECT(!stop_python());
}
// CPython test_main_thread_after_fork_from_foreign_thread
TEST_CASE("the thread that forked goes on in the child with its state, and the others are forgotten") {
    check_succeeds("a child among warm and detached threads");
}

CHILD("a child of a native thread that ends Python") {
    start_python();
    bystanders others(4);
    run_on_thread([&] {
        attached here;
        run("import atexit; atexit.register(lambda: print('ended', flush=True))");
        fork_in_python([&] {
            run_on_thread([] {});
            ref waiting = new_object();
            {
                detached gap;
                waiting.drop();
            }
            EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
            pyattach_attached scope;
            EXPECT(pyattach_attached_begin(&scope) == PYATTACH_NOT_INITIALIZED);
        });
    });
    others.let_go();
    EXPECT(!stop_python());
}

// Without the library.
CHILD("plainly: a child of a native thread that ends Python") {
    load_python();
    stress::start_plainly();
    foreign_detach gap;
    run_on_thread([] {
        foreign_attach here;
        pid_t child = fork_by_os();
        if (child == 0)
            std::_Exit(cpython<int()>("Py_FinalizeEx")() == 0 ? 0 : 9);
        foreign_detach waiting;
        expect_exit_0(child);
    });
    std::_Exit(0);
}

TEST_CASE("a child that a native thread forked ends Python in an orderly way") {
    child_result plain = run_child("plainly: a child of a native thread that ends Python");
    if (plain.exit_code != 0) {
        // From 3.13 on Py_FinalizeEx goes back to the main thread's state, which the fork has freed.
        WARN("this CPython cannot end in a child that another thread forked: " << plain.describe());
        return;
    }
    child_result result = run_child("a child of a native thread that ends Python");
    check_succeeds(result);
    CHECK(result.output == "ended\nended\n");
}

CHILD("a plain fork") {
    start_python();
    use_python();
    pyattach_interpreter *main = pyattach_interpreter_main();
    bystanders others(4);
    ref mine;
    {
        attached here;
        mine = new_object();
    }
    auto expect_refused = [&] {
        pyattach_attached scope;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_UNSUPPORTED);
        EXPECT(pyattach_attached_begin_in(&scope, main) == PYATTACH_UNSUPPORTED);
        EXPECT(pyattach_is_attached() == 0);
    };
    fork_plainly([&] { // detached
        expect_refused();
        EXPECT(pyattach_thread_release() == PYATTACH_UNSUPPORTED);
        size_t waiting = pyattach_pool_size();
        mine.drop();
        EXPECT(pyattach_pool_size() == waiting + 1);
        run_on_thread(expect_refused);
    });
    fork_plainly([] {
        execl("/bin/true", "true", nullptr);
        std::_Exit(127);
    });
    {
        attached here;
        detached gap;
        fork_plainly([&] { // in a gap
            expect_refused();
            EXPECT(gap.end() == PYATTACH_UNSUPPORTED);
            EXPECT(pyattach_is_attached() == 0);
            here.end();
            expect_refused();
        });
    }
    {
        attached here;
        fork_plainly([&] { // attached
            here.end();
            expect_refused();
        });
    }
    others.let_go();
    EXPECT(!stop_python());
}
// conformance.md, group 11: plain fork() without Python's hooks; 17.14
TEST_CASE("after a plain fork() attaching is refused, and nothing blocks") { check_succeeds("a plain fork"); }

CHILD("a plain fork put in order") {
    start_python();
    bystanders others(4);
    {
        attached here;
        cpython<void()>("PyOS_BeforeFork")();
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            pyattach_attached scope;
            int refused = -1;
            std::thread([&] { refused = pyattach_attached_begin(&scope); }).join();
            cpython<void()>("PyOS_AfterFork_Child")();
            bool is_fine = refused == PYATTACH_UNSUPPORTED && eval_int("1") == 1;
            here.end();
            run_on_thread(use_python);
            use_python();
            std::_Exit(is_fine ? 0 : 9);
        }
        cpython<void()>("PyOS_AfterFork_Parent")();
        detached gap;
        int status = 0;
        EXPECT(waitpid(child, &status, 0) == child);
        EXPECT(status == 0);
    }
    others.let_go();
    EXPECT(!stop_python());
}
TEST_CASE("a program that forks by itself and calls Python's own functions around it is served again") {
    check_succeeds("a plain fork put in order");
}

// Without the library.
CHILD("plainly: a child of a process with sub-interpreters") {
    load_python();
    stress::start_plainly();
    sub_interpreter one(has_own_gils() ? sub_interpreter::own_gil : sub_interpreter::legacy), other;
    auto *run_string = cpython<int(const char *, void *)>("PyRun_SimpleStringFlags");
    EXPECT(run_string("import os, signal, warnings\n"
                      "warnings.simplefilter('ignore')\n"
                      "signal.signal(signal.SIGALRM, signal.SIG_DFL)\n"
                      "child = os.fork()\n"
                      "if child == 0: os._exit(0)\n"
                      "import time\n"
                      "for _ in range(200):\n"
                      "    pid, status = os.waitpid(child, os.WNOHANG)\n"
                      "    if pid: break\n"
                      "    time.sleep(0.01)\n"
                      "else:\n"
                      "    os.kill(child, 9)\n"
                      "    os.waitpid(child, 0)\n"
                      "    os._exit(42)\n"
                      "os._exit(0 if status == 0 else 43)\n",
                      nullptr) == 0);
}

TEST_CASE("CPython cannot fork while there are sub-interpreters") {
    // 3.9 to 3.15 do not survive it: they take a lock of theirs twice, miss a thread state, or read freed memory. When
    // one does, this fails, and the library has to be looked at.
    CHECK(run_child("plainly: a child of a process with sub-interpreters").exit_code != 0);
}

CHILD("multiprocessing") {
    start_python();
    bystanders others(4);
    {
        attached here;
        publish("work", native_function([] {
                    detached gap;
                    for (int i = 0; i < 3; ++i)
                        run_on_thread(use_python);
                    use_python();
                }));
        run("import multiprocessing, warnings\n"
            "warnings.simplefilter('ignore')\n"
            "context = multiprocessing.get_context('fork')\n"
            "for _ in range(3):\n"
            "    processes = [context.Process(target=work) for _ in range(3)]\n"
            "    for one in processes: one.start()\n"
            "    for one in processes: one.join()\n"
            "    assert [one.exitcode for one in processes] == [0, 0, 0], processes\n");
    }
    others.let_go();
    EXPECT(!stop_python());
}
TEST_CASE("processes of multiprocessing that are forked among native threads work and exit with 0") {
    check_succeeds("multiprocessing");
}
