// Routed code: thread states that modules make, lend, and count in themselves.
#include "support/catch.hpp"
#include "support/tstate_counts.hpp"

#include "routed.hpp"

using namespace support;
using namespace routed;

TEST_CASE("a thread uses a thread state that it makes itself, and deletes it") {
    start_python();
    const auto before = all_counters();
    on_native_thread([] {
        void *tstate = PyThreadState_New(main_interpreter());
        PyEval_AcquireThread(tstate);
        EXPECT(current_tstate() == tstate);
        EXPECT(is_attached());
        run("pass");
        void *saved = PyEval_SaveThread();
        EXPECT(saved == tstate);
        PyEval_RestoreThread(saved);
        EXPECT(eval_int("1 + 1") == 2);
        clear(tstate);
        PyThreadState_DeleteCurrent();
        EXPECT(!gilstate_tstate());
    });
    EXPECT(all_counters().states_created == before.states_created);
}

TEST_CASE("a thread deletes the thread state with which an ensure has attached it, and gets a new one") {
    start_python();
    on_native_thread([] {
        for (int i = 0; i < 3; ++i) {
            const auto before = all_counters();
            EXPECT(PyGILState_Ensure() == unlocked);
            // As CPython wants it. A second time would end a free-threaded process.
            clear(current_tstate());
            PyThreadState_DeleteCurrent();
            EXPECT(!cpython_says_attached());
            EXPECT(!gilstate_tstate());
            EXPECT(all_counters().states_deleted == before.states_deleted + 1);
            EXPECT(PyGILState_Ensure() == unlocked);
            EXPECT(eval_int("1 + 1") == 2);
            PyGILState_Release(unlocked);
        }
    });
}

TEST_CASE("a thread uses a second thread state beside its warm one") {
    start_python();
    on_native_thread([] {
        PyGILState_Release(PyGILState_Ensure());
        void *second = PyThreadState_New(main_interpreter());
        PyEval_AcquireThread(second);
        EXPECT(current_tstate() == second);
        // Up to 3.11 only the routed functions know that the thread is attached.
        EXPECT(PyGILState_Ensure() == locked);
        EXPECT(plain::python().run("second = 2", nullptr) == 0);
        PyGILState_Release(locked);
        PyEval_ReleaseThread(second);
        EXPECT(!cpython_says_attached());
        const int handle = PyGILState_Ensure();
        EXPECT(eval_int("2 + 2") == 4);
        PyGILState_Release(handle);
        PyEval_AcquireThread(second);
        clear(second);
        PyThreadState_DeleteCurrent();
        PyGILState_Release(PyGILState_Ensure());
    });
}

TEST_CASE("a thread state goes from one thread to another and back") {
    start_python();
    // From 3.12 on debug builds assert that a tstate is used by the thread that PyGILState knows it of.
    if (is_debug_build() && python_version() >= 0x030c0000)
        return;
    on_native_thread([] {
        void *tstate = PyThreadState_New(main_interpreter());
        PyEval_AcquireThread(tstate);
        void *lent = PyEval_SaveThread();
        run_on_thread([lent] {
            PyEval_RestoreThread(lent);
            EXPECT(current_tstate() == lent);
            EXPECT(PyEval_SaveThread() == lent);
        });
        PyEval_RestoreThread(lent);
        clear(tstate);
        PyThreadState_DeleteCurrent();
    });
}

TEST_CASE("a warm thread state is lent to another thread by a gap") {
    start_python();
    on_native_thread([] {
        const int handle = PyGILState_Ensure();
        void *lent = PyEval_SaveThread();
        run_on_thread([lent] {
            PyEval_RestoreThread(lent);
            EXPECT(current_tstate() == lent);
            EXPECT(PyEval_SaveThread() == lent);
        });
        PyEval_RestoreThread(lent);
        PyGILState_Release(handle);
    });
}

TEST_CASE("a guard that counts in the thread state itself, as pybind11's, keeps it warm") {
    start_python();
    if (!keeps_tstates())
        return;
    const auto made_before = all_counters().states_created;
    on_native_thread([] {
        void *tstate = PyGILState_GetThisThreadState();
        EXPECT(tstate);
        EXPECT(PyGILState_GetThisThreadState() == tstate);
        PyEval_AcquireThread(tstate);
        EXPECT(current_tstate() == tstate);
        ++counter();
        run("pass");
        void *gap = PyEval_SaveThread();
        EXPECT(!is_attached());
        PyEval_RestoreThread(gap);
        EXPECT(current_tstate() == tstate);
        --counter();
        EXPECT(counter() > 0);
        PyEval_SaveThread();
    });
    EXPECT(all_counters().states_created == made_before + 1);
}

TEST_CASE("a guard that counts and restores, and then releases, as cffi's, is balanced") {
    start_python();
    if (!keeps_tstates())
        return;
    on_native_thread([] {
        PyGILState_Release(PyGILState_Ensure());
        void *tstate = PyGILState_GetThisThreadState();
        int before = 0;
        {
            attached here;
            before = counter();
        }
        for (int i = 0; i < 3; ++i) {
            {
                attached here;
                ++counter();
            }
            PyEval_RestoreThread(tstate);
            run("pass");
            PyGILState_Release(unlocked);
            EXPECT(!is_attached());
        }
        attached here;
        EXPECT(counter() == before);
    });
}

TEST_CASE("what is open says which call ends it") {
    start_python();
    CHECK(!pyattach_gilstate_is_open(nullptr));
    on_native_thread([] {
        const int handle = PyGILState_Ensure();
        // A release ends the ensure, and neither a save nor a restore does.
        void *tstate = PyGILState_GetThisThreadState();
        EXPECT(!pyattach_gilstate_is_open(nullptr));
        EXPECT(!pyattach_gilstate_is_open(tstate));
        EXPECT(PyEval_SaveThread() == tstate);
        EXPECT(pyattach_gilstate_is_open(tstate));
        EXPECT(!pyattach_gilstate_is_open(&tstate));
        EXPECT(!pyattach_gilstate_is_open(nullptr));
        PyEval_RestoreThread(tstate);
        EXPECT(!pyattach_gilstate_is_open(tstate));
        PyGILState_Release(handle);
        if (is_debug_build())
            return;                   // there the thread state is gone
        PyEval_RestoreThread(tstate); // which is no way back, and so attaches
        EXPECT(pyattach_gilstate_is_open(nullptr));
        EXPECT(!pyattach_gilstate_is_open(tstate));
        EXPECT(PyEval_SaveThread() == tstate);
        EXPECT(!pyattach_gilstate_is_open(nullptr));
    });
}
