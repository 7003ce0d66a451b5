// CPython's functions as routed code calls them: this executable is linked with the flags and the stubs of
// pyattach-gilstate, so each call of a function declared here reaches the library. What is looked up by name
// (support/python.hpp, plain_python.hpp) is not routed.
#pragma once

#include "support/child.hpp"
#include "support/plain_python.hpp"
#include "support/python.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

extern "C" {
int PyGILState_Ensure();
void PyGILState_Release(int);
void *PyGILState_GetThisThreadState();
void *PyEval_SaveThread();
void PyEval_RestoreThread(void *);
void PyEval_AcquireThread(void *);
void PyEval_ReleaseThread(void *);
int Py_IsFinalizing();
int _Py_IsFinalizing();
void *PyThreadState_New(void *);
void PyThreadState_DeleteCurrent();
}

namespace routed {

constexpr int locked = 0, unlocked = 1;

// Asked of CPython, and of the library.
inline bool is_attached() {
    const bool truth = support::cpython_says_attached();
    EXPECT(pyattach_is_attached() == truth);
    return truth;
}

inline void *main_interpreter() { return support::cpython<void *()>("PyInterpreterState_Main")(); }
inline void clear(void *tstate) { support::cpython<void(void *)>("PyThreadState_Clear")(tstate); }

// Runs `work` on a native thread, twice, while this one is detached. It has no scope open at its end.
inline void on_native_thread(const std::function<void()> &work) {
    support::run_on_thread([&] {
        for (int i = 0; i < 2; ++i) {
            EXPECT(!is_attached());
            work();
            EXPECT(!is_attached());
            EXPECT(pyattach_attach_depth() == 0);
        }
    });
}

// The count of PyGILState_Ensure in the tstate that this thread is attached with, which pybind11 and cffi change by
// hand. Found by two nested ensures that are not routed.
inline int &counter() {
    const plain::plain_python &py = plain::python();
    static int offset = 0;
    auto *words = static_cast<int *>(support::current_tstate());
    if (!offset) {
        constexpr int most = 66;
        int before[most], once[most], twice[most];
        auto look = [&](int *seen) {
            for (int i = 0; i < most; ++i)
                seen[i] = words[i];
        };
        look(before);
        py.ensure();
        look(once);
        py.ensure();
        look(twice);
        py.release(locked);
        py.release(locked);
        for (int i = 0; i < most; ++i)
            if (once[i] == before[i] + 1 && twice[i] == before[i] + 2)
                offset = i;
        EXPECT(offset);
    }
    return words[offset];
}

} // namespace routed
