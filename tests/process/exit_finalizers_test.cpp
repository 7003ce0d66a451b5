// Finalizers that run at exit, with the exit status that a program chose, and exits of forked children.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/plain_python.hpp"
#include "support/fork.hpp"

#include <memory>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

using namespace support;

namespace {

child_result python(const std::string &script) {
    return run_python("import ctypes, sys, threading, _thread\n"
                      "attached = ctypes.PyDLL('" TESTS_LIBRARY "')\n"
                      "def scopes():\n" // native code that is called attached: begins, detaches, comes back, ends
                      "    scope, gap = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)\n"
                      "    if attached.pyattach_attached_begin(scope) == 0:\n"
                      "        attached.pyattach_attached_end(scope)\n"
                      "assert attached.pyattach_is_attached() == 1\n" +
                      script);
}

} // namespace

// CPython test_finalize_running_thread (bpo-15038)
TEST_CASE("scopes opened by finalizers of threads that exit cuts off keep the chosen exit status") {
    child_result result = python("ready = _thread.allocate_lock(); ready.acquire()\n"
                                 "class Late:\n"
                                 "    def __del__(self, scopes=scopes): scopes()\n"
                                 "def wait():\n"
                                 "    late = Late()\n"
                                 "    ready.release()\n"
                                 "    never = _thread.allocate_lock(); never.acquire(); never.acquire()\n"
                                 "_thread.start_new_thread(wait, ())\n"
                                 "ready.acquire()\n"
                                 "late = sys.late = Late()\n"
                                 "sys.exit(42)\n");
    INFO(result.describe());
    CHECK(result.exit_code == 42);
    CHECK(result.output == "");
}

CHILD("finalisers at the very end") {
    start_python();
    static int good = 0, called = 0;
    attached here;
    publish("late", native_function([] {
                ++called;
                pyattach_attached scope;
                // The finalizing thread is attached here; an attached scope nests or is refused.
                pyattach_status status = pyattach_attached_begin(&scope);
                if (status == PYATTACH_OK) {
                    pyattach_detached gap;
                    pyattach_status detached_status = pyattach_detached_begin(&gap);
                    if (detached_status == PYATTACH_OK)
                        detached_status = pyattach_detached_end(&gap);
                    good += detached_status == PYATTACH_OK;
                    pyattach_attached_end(&scope);
                } else {
                    good += status == PYATTACH_FINALIZING || status == PYATTACH_NOT_INITIALIZED;
                }
            }));
    run("import sys\n"
        "class Late:\n"
        "    def __init__(self, call): self.call = call\n"
        "    def __del__(self): self.call()\n"
        "sys.kept_to_the_end = Late(late)\n"
        "also = Late(late)\n");
    here.end();
    EXPECT(!stop_python());
    EXPECT(called == 2);
    EXPECT(good == called);
}
// CPython test_start_new_thread_at_finalization, test_finalize_running_thread
TEST_CASE("finalizers that run after the gate closed may use scopes on the finalizing thread") {
    check_succeeds("finalisers at the very end");
}

CHILD("forks while others are inside") {
    start_python();
    static latch inside("the threads to be inside", 4), may_end("permission to end");
    std::vector<std::unique_ptr<task>> tasks;
    for (int i = 0; i < 4; ++i)
        tasks.push_back(std::make_unique<task>("a thread inside to end", [i] {
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
    {
        attached here;
        run("import os, warnings; warnings.simplefilter('ignore'); child = os.fork()");
        if (eval_int("child") == 0) {
            here.end();
            // Only this thread is inside, and no absent thread holds a PEP 788 guard that CPython would wait for.
            alarm(60);
            pyattach_status status = pyattach_interpreter_stop();
            std::_Exit(status == PYATTACH_OK ? 0 : 10 + status);
        }
        const auto child = static_cast<pid_t>(eval_int("child"));
        detached gap;
        expect_exit_0(child);
    }
    may_end.count_down();
    for (auto &thread : tasks)
        thread->join();
    EXPECT(!stop_python());
}
// The library holds no PEP 788 guard beyond registration.
TEST_CASE("a child forked while threads were inside finalizes without waiting for them") {
    check_succeeds("forks while others are inside");
}

CHILD("forks while others make first contact") {
    load_python();
    plain::start(); // not the library's start, which is a contact already
    auto *run_string = cpython<int(const char *, void *)>("PyRun_SimpleStringFlags");
    // A child forked while another thread imports a module waits for that import for ever. And
    // one forked while another stops the world, as free-threaded 3.13 does for the first state of a second thread.
    EXPECT(run_string("import threading; other = threading.Thread(target=int); other.start(); other.join()", nullptr) ==
           0);
    void *state = cpython<void *()>("PyEval_SaveThread")();
    static barrier together("all threads to be there", 5);
    std::vector<std::unique_ptr<task>> tasks;
    for (int i = 0; i < 4; ++i)
        tasks.push_back(std::make_unique<task>("a thread that makes contact to end", [] {
            together.arrive_and_wait();
            attached here;
            EXPECT(eval_int("6 * 7") == 42);
        }));
    together.arrive_and_wait();
    cpython<void(void *)>("PyEval_RestoreThread")(state);
    EXPECT(run_string("import os, warnings; warnings.simplefilter('ignore'); child = os.fork()", nullptr) == 0);
    if (run_string("import sys; sys.stderr = None\nassert child != 0", nullptr) != 0) {
        alarm(60);
        // It has run Python code, and there are no guards before 3.15. Free-threaded 3.13 does not make the locks of
        // objects anew: once in some hundred forks such a child's end waits for that of sys.modules, which a thread
        // held that is not there.
        if (is_free_threaded())
            std::_Exit(0);
        std::_Exit(cpython<int()>("Py_FinalizeEx")() == 0 ? 0 : 20);
    }
    EXPECT(run_string("sys.stderr = sys.__stderr__\n_, status = os.waitpid(child, 0)\nassert status == 0, status\n",
                      nullptr) == 0);
    state = cpython<void *()>("PyEval_SaveThread")();
    for (auto &thread : tasks)
        thread->join();
    cpython<void(void *)>("PyEval_RestoreThread")(state);
    EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
}
TEST_CASE("a child forked during another thread's registration finalizes without waiting for it") {
    for (int round = 0; round < 10; ++round)
        check_succeeds("forks while others make first contact");
}
