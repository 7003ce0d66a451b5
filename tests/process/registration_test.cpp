// Registration of an interpreter that the library has not started: the library adds its exit hook, even if modules are
// missing or an exception is pending.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/host.hpp"

#include <atomic>

using namespace support;

namespace {

int called;
void count_call(pyattach_interpreter *, void *) { ++called; }

// The exit hook is registered if an exit callback runs at the interpreter's end.
void expect_hook() {
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), count_call, nullptr) == PYATTACH_OK);
    EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    EXPECT(called == 1);
}

} // namespace

CHILD("first contact by a nested scope") {
    start_as_host();
    {
        attached nested;
        EXPECT(pyattach_attach_depth() == 1);
    }
    EXPECT(cpython_says_attached());
    expect_hook();
}
CHILD("first contact by asking which interpreter") {
    start_as_host();
    EXPECT(pyattach_interpreter_current());
    expect_hook();
}
CHILD("first contact by asking for the main interpreter") {
    start_as_host();
    EXPECT(pyattach_interpreter_main());
    EXPECT(pyattach_attach_depth() == 0);
    expect_hook();
}
CHILD("first contact by a detached scope") {
    start_as_host();
    { detached gap; }
    expect_hook();
}
CHILD("first contact by a native thread") {
    start_as_host();
    {
        foreign_detach gap;
        run_on_thread([] { attached here; });
    }
    expect_hook();
}
TEST_CASE("registration adds the exit hook, whichever call causes it") {
    check_succeeds("first contact by a nested scope");
    check_succeeds("first contact by asking which interpreter");
    check_succeeds("first contact by asking for the main interpreter");
    check_succeeds("first contact by a detached scope");
    check_succeeds("first contact by a native thread");
}

CHILD("first contact with an exception pending") {
    start_as_host();
    auto **kind = static_cast<object **>(cpython_symbol("PyExc_ValueError"));
    cpython<void(object *, const char *)>("PyErr_SetString")(*kind, "kept");
    { attached nested; }
    char text[100] = "";
    EXPECT(pyattach_error_message(text, sizeof text) > 0);
    EXPECT_SENTENCE(std::string(text) == "ValueError: kept", text);
    pyattach_error_clear();
    expect_hook();
}
TEST_CASE("registration keeps a pending exception, although it imports modules") {
    check_succeeds("first contact with an exception pending");
}

CHILD("first contact that fails") {
    start_as_host();
    run_as_host("import sys, threading; kept = sys.modules.get('atexit'); sys.modules['atexit'] = None");
    for (int i = 0; i < 2; ++i) {
        attached nested; // works all the same
        EXPECT(eval_int("1") == 1);
        EXPECT(!cpython<object *()>("PyErr_Occurred")());
    }
    run_as_host("del sys.modules['atexit']");
    { attached nested; }
    expect_hook();
}
TEST_CASE("a registration that fails is tried again by the next call") { check_succeeds("first contact that fails"); }

CHILD("first contact by many threads at once") {
    start_as_host();
    {
        foreign_detach gap;
        barrier together("all threads to be ready", 8);
        run_on_threads(8, "a thread that meets Python to end", [&](int) {
            together.arrive_and_wait();
            attached here;
            EXPECT(eval_int("1") == 1);
        });
    }
    // Up to 3.12 `threading` takes its first importer for the main thread; what matters there is that exit does not
    // wait for that one.
    if (python_version() >= 0x030d0000)
        run_as_host("import threading; assert threading.main_thread() is threading.current_thread()");
    expect_hook();
}
TEST_CASE("many threads may register an interpreter at once, and exit works after it") {
    check_succeeds("first contact by many threads at once");
}

namespace {
task *second_comer;
std::atomic<bool> second_came{false}, is_first{true}, were_two_inside{false};
latch *first_looks;
} // namespace

// The library finds this function when libpython is in the global scope. CPython's own is not safe for two threads at
// once until the dict exists.
extern "C" __attribute__((visibility("default"))) void *PyInterpreterState_GetDict(void *interpreter) {
    static auto *const real = cpython<void *(void *)>("PyInterpreterState_GetDict");
    if (!second_comer)
        return real(interpreter);
    if (!is_first.exchange(false)) {
        were_two_inside = were_two_inside || !first_looks->is_open();
        return real(interpreter);
    }
    wait_until("the second thread to come", [] { return second_came.load(); });
    second_comer->wait_until_asleep();
    void *dict = real(interpreter);
    first_looks->count_down();
    return dict;
}

CHILD("first contact by two threads at once") {
    cpython_symbol("Py_GetVersion"); // puts libpython into the global scope
    start_as_host();
    latch looked("the first thread to have its dict");
    first_looks = &looked;
    foreign_detach gap;
    task second("the second thread to end", [] {
        wait_until("the first thread to look", [] { return !is_first; });
        second_came = true;
        attached here;
    });
    second_comer = &second;
    run_on_thread([] { attached here; });
    second.join();
    second_comer = nullptr;
    EXPECT(looked.is_open()); // or this test stood beside the library
    EXPECT(!were_two_inside);
}
TEST_CASE("of threads that register an interpreter at once, one reads its dict at a time") {
    check_succeeds("first contact by two threads at once");
}

namespace {

// Calls `function` during finalization, as the process's first use of the library.
void call_at_exit(std::function<void()> function) {
    // Not through publish(), which would register the interpreter.
    ref callable = native_function(std::move(function));
    object *main = cpython<object *(const char *)>("PyImport_AddModule")("__main__");
    EXPECT(cpython<int(object *, const char *, object *)>("PyObject_SetAttrString")(main, "contact", callable) == 0);
    callable.release();
}

} // namespace

CHILD("first contact in an atexit callback, on the thread that ends Python") {
    start_as_host();
    static std::string told;
    call_at_exit([] {
        attached nested;
        {
            detached gap;
            { attached again; }
            told += std::to_string(run_on_thread([] {
                pyattach_attached scope;
                return pyattach_attached_begin(&scope);
            }));
        }
        told += std::to_string(pyattach_attach_depth());
    });
    run_as_host("import atexit, threading; atexit.register(contact)");
    EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    EXPECT_SENTENCE(told == "21", told);
}
CHILD("first contact past the end") {
    start_as_host();
    static std::string told;
    call_at_exit([] {
        told += std::to_string(cpython<int()>("Py_IsInitialized")());
        { detached gap; }
        attached nested;
        told += std::to_string(pyattach_attach_depth());
    });
    run_as_host("import sys\n"
                "class Late:\n"
                "    def __init__(self, last): self.last = last\n"
                "    def __del__(self): self.last()\n"
                "sys.late = Late(contact)\n"
                "del contact\n");
    EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    EXPECT_SENTENCE(told == "01", told);
}
TEST_CASE("the finalizing thread may register, attach and detach for the first time during finalization") {
    check_succeeds("first contact in an atexit callback, on the thread that ends Python");
    check_succeeds("first contact past the end");
}

CHILD("first contact in an atexit callback") {
    start_as_host();
    static std::string told;
    call_at_exit([] {
        foreign_detach gap;
        pyattach_status other = run_on_thread([] {
            pyattach_attached scope;
            return pyattach_attached_begin(&scope);
        });
        told += std::to_string(other);
    });
    run_as_host("import atexit, threading; atexit.register(contact)");
    EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    EXPECT_SENTENCE(told == "2", told);
}
TEST_CASE("an interpreter that is registered during its finalization is closed from the start") {
    check_succeeds("first contact in an atexit callback");
}

namespace {

void meet_where(const char *threading_is) {
    start_as_host();
    run_as_host(threading_is);
    void *state = cpython<void *()>("PyEval_SaveThread")();
    for (int i = 0; i < 3; ++i)
        run_on_thread([] {
            attached here;
            EXPECT(!cpython<object *()>("PyErr_Occurred")());
        });
    cpython<void(void *)>("PyEval_RestoreThread")(state);
    {
        attached here;
        EXPECT(!cpython<object *()>("PyErr_Occurred")());
    }
    expect_hook();
}

} // namespace

CHILD("first contact where something stands for threading") {
    meet_where("import sys, threading\n"
               "class Stand:\n"
               "    def __getattr__(self, name): return getattr(threading, name)\n"
               "sys.modules['threading'] = Stand()\n");
}
CHILD("first contact where something stands for the dict of threads") {
    meet_where("import collections, threading; threading._active = collections.UserDict(threading._active)\n");
}
TEST_CASE("registration leaves no exception pending where threading is no module, or has no _active dict") {
    check_succeeds("first contact where something stands for threading");
    check_succeeds("first contact where something stands for the dict of threads");
}
