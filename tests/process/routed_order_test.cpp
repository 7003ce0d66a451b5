// Routed code: orders of calls that CPython allows and that no pair of scopes has.
#include "support/catch.hpp"
#include "support/pending_exception.hpp"
#include "support/unraisable.hpp"

#include "routed.hpp"

using namespace support;
using namespace routed;

TEST_CASE("a restore inside a detached scope attaches, although a gap further out has the same thread state") {
    start_python();
    on_native_thread([] {
        const int handle = PyGILState_Ensure();
        void *const tstate = PyEval_SaveThread();
        {
            attached inside;
            detached gap;
            // As pybind11's gil_scoped_acquire does.
            PyEval_AcquireThread(PyGILState_GetThisThreadState());
            EXPECT(is_attached() && current_tstate() == tstate);
            EXPECT(PyEval_SaveThread() == tstate);
            EXPECT(!is_attached());
            EXPECT(gap.end() == PYATTACH_OK);
        }
        EXPECT(!is_attached());
        PyEval_RestoreThread(tstate);
        PyGILState_Release(handle);
    });
}

TEST_CASE("a restore inside a detached scope attaches, although an ensure further out has the same thread state") {
    start_python();
    on_native_thread([] {
        const int handle = PyGILState_Ensure();
        {
            detached gap;
            void *const tstate = PyGILState_GetThisThreadState();
            PyEval_RestoreThread(tstate);
            EXPECT(is_attached());
            EXPECT(PyEval_SaveThread() == tstate);
            EXPECT(gap.end() == PYATTACH_OK);
        }
        EXPECT(is_attached());
        PyGILState_Release(handle);
    });
}

TEST_CASE("a save inside a scope of the library detaches, although a restore further out has the same thread state") {
    start_python();
    on_native_thread([] {
        PyGILState_Release(PyGILState_Ensure());
        void *const tstate = PyGILState_GetThisThreadState();
        if (!tstate)
            return; // this Python keeps no thread states
        PyEval_RestoreThread(tstate);
        {
            detached gap;
            attached inside;
            EXPECT(PyEval_SaveThread() == tstate);
            EXPECT(!is_attached());
            PyEval_RestoreThread(tstate);
            EXPECT(pyattach_attach_depth() == 1);
        }
        EXPECT(is_attached());
        EXPECT(PyEval_SaveThread() == tstate);
    });
}

TEST_CASE("a save inside a critical section detaches, although a restore has attached just before") {
    start_python();
    on_native_thread([] {
        const int handle = PyGILState_Ensure();
        const ref object = new_object();
        PyGILState_Release(handle);
        void *const tstate = PyGILState_GetThisThreadState();
        if (!tstate)
            return; // this Python keeps no thread states
        PyEval_RestoreThread(tstate);
        {
            section locked(object);
            EXPECT(PyEval_SaveThread() == tstate);
            EXPECT(!is_attached());
            EXPECT(pyattach_gilstate_is_open(tstate));
            PyEval_RestoreThread(tstate);
        }
        EXPECT(PyEval_SaveThread() == tstate);
    });
}

TEST_CASE("a nested ensure is released inside a newer one that attached") {
    start_python();
    on_native_thread([] {
        const int outer = PyGILState_Ensure();
        const int nested = PyGILState_Ensure();
        const int before = counter();
        void *const tstate = PyEval_SaveThread();
        const int inner = PyGILState_Ensure();
        EXPECT(inner == unlocked);
        PyGILState_Release(nested);
        EXPECT(counter() == before);
        PyGILState_Release(inner);
        EXPECT(!is_attached());
        PyEval_RestoreThread(tstate);
        EXPECT(counter() == before - 1);
        PyGILState_Release(outer);
    });
}

TEST_CASE("nested ensures outlive the ensure around them, in a gap and beside a scope of the library") {
    start_python();
    for (const pyattach_thread_policy policy : {PYATTACH_THREADS_SCOPED, PYATTACH_THREADS_WARM}) {
        pyattach_set_thread_policy(policy);
        on_native_thread([] {
            const int outer = PyGILState_Ensure();
            const int before = counter();
            void *const tstate = PyEval_SaveThread();
            const int inner = PyGILState_Ensure();
            const int first = PyGILState_Ensure(), second = PyGILState_Ensure();
            PyGILState_Release(inner);
            EXPECT(!is_attached());
            PyEval_RestoreThread(tstate);
            PyGILState_Release(outer);
            EXPECT(!is_attached());
            EXPECT(pyattach_attach_depth() == 0);
            attached scope;
            PyGILState_Release(first);
            PyGILState_Release(second);
            EXPECT(counter() == before - 1);
            const int nested = PyGILState_Ensure();
            EXPECT(nested == locked);
            PyGILState_Release(nested);
            EXPECT(is_attached());
        });
    }
}

TEST_CASE("an ensure that was made in a scope of the library is released inside a newer one") {
    start_python();
    on_native_thread([] {
        attached scope;
        const int nested = PyGILState_Ensure();
        void *const tstate = PyEval_SaveThread();
        const int inner = PyGILState_Ensure();
        PyGILState_Release(nested);
        PyGILState_Release(inner);
        PyEval_RestoreThread(tstate);
        EXPECT(is_attached());
    });
}

TEST_CASE("a save keeps the exception of what a restore attached") {
    start_python();
    on_native_thread([] {
        PyGILState_Release(PyGILState_Ensure());
        void *const tstate = PyGILState_GetThisThreadState();
        if (!tstate)
            return; // this Python keeps no thread states
        PyEval_RestoreThread(tstate);
        watch_unraisable();
        raise_value_error("kept");
        EXPECT(PyEval_SaveThread() == tstate);
        PyEval_RestoreThread(tstate);
        const std::string error = take_error();
        EXPECT(error.find("kept") != std::string::npos);
        EXPECT(unraisable() == "[]");
        PyEval_SaveThread();
    });
}

TEST_CASE("a scope in a gap leaves the exception of code that is not routed") {
    start_python();
    on_native_thread([] {
        PyGILState_Release(PyGILState_Ensure());
        foreign_attach outer;
        watch_unraisable();
        raise_value_error("kept");
        {
            detached gap;
            attached inside;
        }
        const std::string error = take_error();
        EXPECT(error.find("kept") != std::string::npos);
        EXPECT(unraisable() == "[]");
    });
}

TEST_CASE("a save ends what a restore attached, although an exception of further out is pending") {
    start_python();
    on_native_thread([] {
        PyGILState_Release(PyGILState_Ensure());
        void *const tstate = PyGILState_GetThisThreadState();
        if (!tstate)
            return; // this Python keeps no thread states
        foreign_attach outer;
        raise_value_error("kept");
        {
            detached gap;
            PyEval_RestoreThread(tstate);
            EXPECT(pyattach_gilstate_is_open(nullptr));
            EXPECT(PyEval_SaveThread() == tstate);
            EXPECT(!pyattach_gilstate_is_open(tstate));
        }
        const std::string error = take_error();
        EXPECT(error.find("kept") != std::string::npos);
    });
}
