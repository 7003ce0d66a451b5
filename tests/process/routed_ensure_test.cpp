// Routed code: ensures and gaps in each other, and beside code that is not routed.
#include "support/catch.hpp"
#include "support/pending_exception.hpp"
#include "support/tstate_counts.hpp"
#include "support/unraisable.hpp"

#include "routed.hpp"

using namespace support;
using namespace routed;

TEST_CASE("nested ensures count, and the handles say which one attached") {
    start_python();
    on_native_thread([] {
        const int outer = PyGILState_Ensure();
        EXPECT(outer == unlocked);
        const int before = counter();
        const int inner = PyGILState_Ensure();
        EXPECT(inner == locked);
        EXPECT(counter() == before + 1);
        EXPECT(eval_int("6 * 7") == 42);
        PyGILState_Release(inner);
        EXPECT(counter() == before);
        EXPECT(is_attached());
        PyGILState_Release(outer);
    });
}

TEST_CASE("a routed ensure keeps the thread state of a native thread") {
    start_python();
    if (!keeps_tstates())
        return;
    on_native_thread([] {
        PyGILState_Release(PyGILState_Ensure());
        const auto before = all_counters();
        for (int i = 0; i < 10; ++i) {
            const int handle = PyGILState_Ensure();
            run("pass");
            PyGILState_Release(handle);
        }
        EXPECT(all_counters().states_created == before.states_created);
        EXPECT(all_counters().attaches == before.attaches + 10);
    });
}

TEST_CASE("what Python keeps for a native thread survives between routed ensures") {
    start_python();
    if (!keeps_tstates())
        return;
    run_on_thread([] {
        int handle = PyGILState_Ensure();
        run("import contextvars, threading\n"
            "local, variable = threading.local(), contextvars.ContextVar('variable', default=0)\n"
            "local.it = variable.set(5)\n"
            "thread = threading.current_thread()");
        PyGILState_Release(handle);
        handle = PyGILState_Ensure();
        EXPECT(eval_true("hasattr(local, 'it') and variable.get() == 5"));
        EXPECT(eval_true("threading.current_thread() is thread and thread in threading.enumerate()"));
        PyGILState_Release(handle);
    });
}

TEST_CASE("ensures are released in an order that crosses") {
    start_python();
    on_native_thread([] {
        const int first = PyGILState_Ensure(), before = counter(), second = PyGILState_Ensure();
        PyGILState_Release(first); // CPython detaches, and keeps the count of the second
        EXPECT(!is_attached());
        const int third = PyGILState_Ensure();
        EXPECT(third == unlocked);
        PyGILState_Release(second);
        EXPECT(is_attached());
        EXPECT(counter() == before); // the third is counted in place of the first
        PyGILState_Release(third);
    });
}

TEST_CASE("gaps and ensures nest in each other") {
    start_python();
    on_native_thread([] {
        const int outer = PyGILState_Ensure();
        void *tstate = current_tstate();
        for (int i = 0; i < 3; ++i) {
            void *first = PyEval_SaveThread();
            EXPECT(first == tstate);
            EXPECT(!is_attached());
            const int inner = PyGILState_Ensure();
            EXPECT(inner == unlocked);
            EXPECT(current_tstate() == tstate);
            void *second = PyEval_SaveThread();
            const int innermost = PyGILState_Ensure();
            void *third = PyEval_SaveThread(); // more than the first entries
            PyGILState_Release(PyGILState_Ensure());
            PyEval_RestoreThread(third);
            PyGILState_Release(innermost);
            PyEval_RestoreThread(second);
            PyGILState_Release(inner);
            EXPECT(!is_attached());
            PyEval_RestoreThread(first);
            EXPECT(current_tstate() == tstate);
        }
        PyGILState_Release(outer);
    });
}

TEST_CASE("an exception that is left pending is reported and does not come back") {
    start_python();
    on_native_thread([] {
        {
            attached here;
            watch_unraisable();
        }
        const int handle = PyGILState_Ensure();
        raise_value_error("left behind");
        PyGILState_Release(handle);
        const int next = PyGILState_Ensure();
        EXPECT(take_error() == "no exception");
        EXPECT(unraisable().find("left behind") != std::string::npos);
        raise_value_error("kept");
        void *saved = PyEval_SaveThread();
        PyEval_RestoreThread(saved);
        EXPECT(take_error_type() == "ValueError");
        PyGILState_Release(next);
    });
}

TEST_CASE("code that is not routed nests in routed code, and the other way round") {
    start_python();
    const plain::plain_python &py = plain::python();
    on_native_thread([&py] {
        const int outer = PyGILState_Ensure();
        const int inner = py.ensure();
        EXPECT(inner == locked);
        void *saved = py.save();
        EXPECT(PyGILState_Ensure() == unlocked);
        PyGILState_Release(unlocked);
        EXPECT(!is_attached());
        py.restore(saved);
        void *gap = PyEval_SaveThread();
        EXPECT(py.ensure() == unlocked);
        const int innermost = PyGILState_Ensure();
        EXPECT(innermost == locked);
        PyGILState_Release(innermost);
        py.release(unlocked);
        PyEval_RestoreThread(gap);
        py.release(inner);
        PyGILState_Release(outer);
    });
    on_native_thread([&py] {
        const int outer = py.ensure();
        void *saved = PyEval_SaveThread();
        const int inner = PyGILState_Ensure();
        EXPECT(inner == unlocked);
        PyGILState_Release(inner);
        PyEval_RestoreThread(saved);
        py.release(outer);
    });
}

TEST_CASE("a release that is routed ends an ensure that is not") {
    start_python();
    const plain::plain_python &py = plain::python();
    on_native_thread([&py] {
        PyGILState_Release(py.ensure());
        const int outer = PyGILState_Ensure();
        const int inner = py.ensure();
        PyGILState_Release(inner);
        EXPECT(is_attached());
        void *gap = PyEval_SaveThread();
        PyGILState_Release(py.ensure());
        EXPECT(!is_attached());
        PyEval_RestoreThread(gap);
        PyGILState_Release(outer);
    });
}

TEST_CASE("errno is kept by every routed call") {
    start_python();
    on_native_thread([] {
        errno = 77;
        const int handle = PyGILState_Ensure();
        EXPECT(errno == 77);
        void *saved = PyEval_SaveThread();
        EXPECT(errno == 77);
        EXPECT(!Py_IsFinalizing());
        EXPECT(!_Py_IsFinalizing());
        EXPECT(errno == 77);
        PyEval_RestoreThread(saved);
        EXPECT(errno == 77);
        PyGILState_Release(handle);
        EXPECT(errno == 77);
        if (!keeps_tstates())
            return;
        EXPECT(PyGILState_GetThisThreadState());
        PyEval_AcquireThread(PyGILState_GetThisThreadState());
        PyEval_ReleaseThread(current_tstate());
        EXPECT(errno == 77);
    });
}
