// Finalizers that run at the very end, and the end of a child that was forked during registrations.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/plain_python.hpp"
#include "support/last_call.hpp"

#include <memory>
#include <unistd.h>
#include <vector>

using namespace support;

CHILD("finalizers at the very end") {
    start_python();
    static int good = 0, called = 0;
    auto late = [] {
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
    };
    {
        attached here;
        call_at_the_very_end(late);
        publish("also", object_with_last_call(late)); // in a module
    }
    EXPECT(!stop_python());
    EXPECT(called == 2);
    EXPECT(good == called);
}
TEST_CASE("finalizers that run after the gate closed may use scopes on the finalizing thread") {
    check_succeeds("finalizers at the very end");
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
