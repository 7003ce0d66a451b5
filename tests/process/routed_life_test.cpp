// Routed code: sub-interpreters, forks, threads that end early, and one Python after the other.
#include "support/catch.hpp"
#include "support/fork.hpp"
#include "support/sub_interpreter.hpp"
#include "support/tstate_counts.hpp"

#include "routed.hpp"

using namespace support;
using namespace routed;

CHILD("a gap that is never ended") {
    start_python();
    run_on_thread([] {
        PyGILState_Ensure();
        PyEval_SaveThread();
    });
    plain::python().ensure();
    EXPECT(plain::python().finalize() == 0);
}
CHILD("a gap of the main thread that is never ended") {
    load_python();
    plain::start();
    PyEval_SaveThread();
    run_on_thread([] { PyGILState_Release(PyGILState_Ensure()); });
    PyGILState_Ensure();
    EXPECT(plain::python().finalize() == 0);
}
TEST_CASE("a gap that its thread never ends is left") {
    check_succeeds("a gap that is never ended");
    check_succeeds("a gap of the main thread that is never ended");
}

TEST_CASE("routed code uses a sub-interpreter on Python's main thread") {
    start_python();
    attached outer;
    sub_interpreter sub;
    sub.inside([] {
        void *tstate = current_tstate();
        if (sees_switches()) { // before, an ensure waits for itself there, routed or not
            const int handle = PyGILState_Ensure();
            EXPECT(current_tstate() == tstate);
            PyGILState_Release(handle);
        }
        void *saved = PyEval_SaveThread();
        EXPECT(saved == tstate);
        PyEval_RestoreThread(saved);
        EXPECT(current_tstate() == tstate);
    });
}

TEST_CASE("routed code uses a sub-interpreter on a native thread") {
    start_python();
    on_native_thread([] {
        const int outer = PyGILState_Ensure();
        {
            sub_interpreter sub;
            sub.inside([] {
                void *saved = PyEval_SaveThread();
                PyEval_RestoreThread(saved);
                EXPECT(current_tstate() == saved);
            });
        }
        PyGILState_Release(outer);
    });
    on_native_thread([] {
        attached outer;
        sub_interpreter sub;
        void *own = PyThreadState_New(sub.state());
        detached gap;
        PyEval_AcquireThread(own);
        EXPECT(current_tstate() == own);
        clear(own);
        PyThreadState_DeleteCurrent();
    });
}

TEST_CASE("a thread ends inside a gap and inside an ensure") {
    start_python();
    messages heard;
    run_on_thread([] {
        PyGILState_Ensure();
        PyEval_SaveThread();
    });
    EXPECT(heard.text().find("detached scope open") != std::string::npos);
    run_on_thread([] { PyGILState_Ensure(); });
    EXPECT(heard.text().find("attached scope open") != std::string::npos);
    run_on_thread([] { PyGILState_Release(PyGILState_Ensure()); });
}

TEST_CASE("a forked child goes on inside an ensure and inside a gap") {
    start_python();
    run_on_thread([] {
        const int handle = PyGILState_Ensure();
        fork_in_python([handle] {
            EXPECT(PyGILState_Ensure() == locked);
            PyGILState_Release(locked);
            void *saved = PyEval_SaveThread();
            PyEval_RestoreThread(saved);
            if (!keeps_tstates())
                return; // the scope's end deletes the last thread state of the child, which a debug build does not
                        // allow
            PyGILState_Release(handle);
            EXPECT(PyGILState_Ensure() == unlocked);
            EXPECT(eval_int("3 * 4") == 12);
            PyGILState_Release(unlocked);
        });
        PyGILState_Release(handle);
    });
}

CHILD("three Pythons, one after the other") {
    load_python();
    for (int i = 0; i < 3; ++i) {
        plain::start();
        void *main = PyEval_SaveThread();
        run_on_thread([] {
            for (int round = 0; round < 3; ++round) {
                const int handle = PyGILState_Ensure();
                EXPECT(handle == unlocked);
                EXPECT(eval_int("5 * 5") == 25);
                void *saved = PyEval_SaveThread();
                PyEval_RestoreThread(saved);
                PyGILState_Release(handle);
            }
        });
        const int handle = PyGILState_Ensure();
        EXPECT(handle == unlocked);
        PyGILState_Release(handle);
        PyEval_RestoreThread(main);
        if (i == 1) {
            PyEval_SaveThread();
            PyGILState_Ensure();
        }
        EXPECT(plain::python().finalize() == 0);
        if (i == 1)
            PyGILState_Release(unlocked); // of a scope that is inert by now
    }
}
TEST_CASE("routed code works in three Pythons, one after the other") {
    check_succeeds("three Pythons, one after the other");
}
