// Routed code: each call that cannot be served aborts, and names the module.
#include "support/catch.hpp"

#include "routed.hpp"

using namespace support;
using namespace routed;

namespace {

// What the sentences call this executable.
const char here[] = "/routed";

} // namespace

CHILD("release without an ensure") {
    start_python();
    PyGILState_Release(unlocked);
}
CHILD("release a nested ensure without one") {
    start_python();
    PyGILState_Release(locked);
}
CHILD("release twice") {
    start_python();
    run_on_thread([] {
        const int handle = PyGILState_Ensure();
        PyGILState_Release(handle);
        PyGILState_Release(handle);
    });
}
CHILD("release a nested ensure twice") {
    start_python();
    run_on_thread([] {
        PyGILState_Ensure();
        const int nested = PyGILState_Ensure();
        PyGILState_Release(nested);
        PyGILState_Release(nested);
    });
}
CHILD("release a nested ensure twice on the main thread") {
    load_python();
    plain::start();
    const int nested = PyGILState_Ensure();
    EXPECT(nested == locked);
    PyGILState_Release(nested);
    PyGILState_Release(nested);
}
CHILD("release a nested ensure inside a newer one, and once more after both") {
    start_python();
    run_on_thread([] {
        const int outer = PyGILState_Ensure(), nested = PyGILState_Ensure();
        void *const tstate = PyEval_SaveThread();
        const int inner = PyGILState_Ensure();
        PyGILState_Release(nested);
        PyGILState_Release(inner);
        PyEval_RestoreThread(tstate);
        PyGILState_Release(outer);
        attached scope;
        PyGILState_Release(nested);
    });
}
TEST_CASE("a release without an ensure aborts") {
    load_python();
    for (const char *name : {"release without an ensure", "release a nested ensure without one", "release twice",
                             "release a nested ensure twice", "release a nested ensure twice on the main thread",
                             "release a nested ensure inside a newer one, and once more after both"}) {
        INFO(name);
        if (is_debug_build() && std::string(name).find("a nested ensure ") != std::string::npos &&
            name != std::string("release a nested ensure without one"))
            continue; // the count is not known there, and CPython ends the process itself
        check_aborts(name, {"PyGILState_Release", here, "no PyGILState_Ensure", "same thread", "once"});
    }
}

CHILD("release inside a gap") {
    start_python();
    run_on_thread([] {
        const int handle = PyGILState_Ensure();
        PyEval_SaveThread();
        PyGILState_Release(handle);
    });
}
TEST_CASE("a release inside a gap aborts") {
    check_aborts("release inside a gap", {"PyGILState_Release", "detached by a PyEval_SaveThread", here, "first"});
}

CHILD("save on a thread that is not attached") {
    start_python();
    run_on_thread([] { PyEval_SaveThread(); });
}
CHILD("release a thread state that is not attached") {
    start_python();
    run_on_thread([] {
        PyGILState_Ensure();
        PyEval_ReleaseThread(nullptr);
    });
}
TEST_CASE("a save on a thread that is not attached aborts") {
    check_aborts("save on a thread that is not attached", {"PyEval_SaveThread", here, "not attached"});
    check_aborts("release a thread state that is not attached", {"PyEval_SaveThread", here, "not attached"});
}

CHILD("restore on an attached thread") {
    start_python();
    run_on_thread([] {
        PyGILState_Ensure();
        PyEval_RestoreThread(current_tstate());
    });
}
CHILD("restore twice") {
    start_python();
    run_on_thread([] {
        PyGILState_Ensure();
        void *saved = PyEval_SaveThread();
        PyEval_RestoreThread(saved);
        PyEval_RestoreThread(saved);
    });
}
CHILD("restore NULL") {
    start_python();
    PyEval_RestoreThread(nullptr);
}
TEST_CASE("a restore of NULL, or on an attached thread, aborts") {
    check_aborts("restore on an attached thread", {"PyEval_RestoreThread", here, "attached already", "Pair"});
    check_aborts("restore twice", {"PyEval_RestoreThread", here, "attached already", "Pair"});
    check_aborts("restore NULL", {"PyEval_RestoreThread", here, "NULL"});
}

CHILD("restore the thread state of another thread") {
    start_python();
    std::atomic<void *> kept{nullptr};
    latch restored{"the other thread to have restored it"};
    task owner("the owner to end", [&] {
        const int handle = PyGILState_Ensure();
        void *tstate = current_tstate();
        PyGILState_Release(handle);
        kept = tstate;
        restored.wait();
    });
    wait_until("the owner to have a thread state", [&] { return kept.load() != nullptr; });
    run_on_thread([&] { PyEval_RestoreThread(kept); });
}
TEST_CASE("a restore of a thread state that another thread keeps aborts") {
    load_python();
    if (!is_debug_build())
        check_aborts("restore the thread state of another thread",
                     {"PyEval_RestoreThread", here, "belongs to thread", "did not save it", "PyGILState_Ensure"});
}

CHILD("an ensure whose release is not routed") {
    start_python();
    run_on_thread([] {
        for (int i = 0; i < 2; ++i)
            plain::python().release(PyGILState_Ensure());
    });
}
CHILD("an ensure whose release is not routed, in a gap of Python's") {
    load_python();
    plain::start();
    plain::python().save();
    for (int i = 0; i < 2; ++i)
        plain::python().release(PyGILState_Ensure());
}
CHILD("a release that follows one that is not routed") {
    start_python();
    run_on_thread([] {
        const int handle = PyGILState_Ensure();
        plain::python().release(handle);
        PyGILState_Release(handle);
    });
}
CHILD("a nested release that is not routed, too many") {
    start_python();
    run_on_thread([] {
        const int handle = PyGILState_Ensure();
        plain::python().release(locked);
        PyGILState_Release(handle);
    });
}
TEST_CASE("an ensure that is routed and released by code that is not aborts") {
    load_python();
    if (is_debug_build())
        return; // the count is not known there
    for (const char *name :
         {"an ensure whose release is not routed", "an ensure whose release is not routed, in a gap of Python's",
          "a release that follows one that is not routed", "a nested release that is not routed, too many"}) {
        INFO(name);
        check_aborts(name, {"PyGILState_Release", "not routed has released", here, "Route both modules"});
    }
}

CHILD("a gap that code that is not routed ends") {
    start_python();
    run_on_thread([] {
        const int handle = PyGILState_Ensure();
        plain::python().restore(PyEval_SaveThread());
        PyGILState_Release(handle);
    });
}
TEST_CASE("a gap that is routed and ended by code that is not aborts at the release") {
    load_python();
    if (!is_debug_build())
        check_aborts("a gap that code that is not routed ends",
                     {"PyEval_RestoreThread", "not routed has ended", here, "Route both modules"});
}

CHILD("ten thousand gaps") {
    load_python();
    plain::start();
    for (int i = 0; i < 10001; ++i)
        plain::python().restore(PyEval_SaveThread());
}
TEST_CASE("ten thousand open calls abort") {
    check_aborts("ten thousand gaps", {"10000 calls open", here, "paired", "Route both modules"});
}

CHILD("delete the thread state of an open scope") {
    start_python();
    run_on_thread([] {
        attached scope;
        PyThreadState_DeleteCurrent();
    });
}
CHILD("delete the thread state of a scope further out") {
    start_python();
    run_on_thread([] {
        attached outer;
        detached gap;
        PyGILState_Ensure();
        PyThreadState_DeleteCurrent();
    });
}
TEST_CASE("the deletion of a thread state that a scope uses aborts") {
    load_python();
    if (is_debug_build())
        return;
    for (const char *child :
         {"delete the thread state of an open scope", "delete the thread state of a scope further out"})
        check_aborts(child, {"PyThreadState_DeleteCurrent", here, "scope"});
}

CHILD("an ensure without Python") { PyGILState_Ensure(); }
CHILD("an ensure before Python was started") {
    load_python();
    PyGILState_Ensure();
}
TEST_CASE("an ensure without a Python that runs aborts") {
    check_aborts("an ensure without Python", {"PyGILState_Ensure", here, "Start Python first", "-rdynamic"});
    check_aborts("an ensure before Python was started", {"PyGILState_Ensure", here, "Start Python first"});
}
