// First contact with an interpreter that the library has not started: the exit hook is registered there, whatever
// stands in the way.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

namespace {

// Python, started and held attached by a host that does not tell the library.
void start_as_host() {
    load_python();
    cpython<void(const wchar_t *)>("Py_SetProgramName")(
        cpython<wchar_t *(const char *, size_t *)>("Py_DecodeLocale")(python_executable().c_str(), nullptr));
    cpython<void(int)>("Py_InitializeEx")(0);
}

bool run_plainly(const char *code) {
    return cpython<int(const char *, void *)>("PyRun_SimpleStringFlags")(code, nullptr) == 0;
}

int called;
void count_call(pyattach_interpreter *, void *) { ++called; }

// Whether the hook is there shows when the interpreter ends.
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
TEST_CASE("first contact registers the exit hook, by whichever call it comes") {
    check_succeeds("first contact by a nested scope");
    check_succeeds("first contact by asking which interpreter");
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
TEST_CASE("first contact keeps a pending exception, although it imports modules") {
    check_succeeds("first contact with an exception pending");
}

CHILD("first contact that fails") {
    start_as_host();
    EXPECT(run_plainly("import sys, threading; kept = sys.modules.get('atexit'); sys.modules['atexit'] = None"));
    for (int i = 0; i < 2; ++i) {
        attached nested; // works all the same
        EXPECT(eval_int("1") == 1);
        EXPECT(!cpython<object *()>("PyErr_Occurred")());
    }
    EXPECT(run_plainly("del sys.modules['atexit']"));
    { attached nested; }
    expect_hook();
}
TEST_CASE("first contact that fails is tried again at the next one") { check_succeeds("first contact that fails"); }

CHILD("first contact by many threads at once") {
    start_as_host();
    {
        foreign_detach gap;
        barrier together("all threads to be ready", 8);
        std::vector<std::unique_ptr<task>> tasks;
        for (int i = 0; i < 8; ++i)
            tasks.push_back(std::make_unique<task>("a thread that meets Python to end", [&] {
                together.arrive_and_wait();
                attached here;
                EXPECT(eval_int("1") == 1);
            }));
        for (auto &one : tasks)
            one->join();
    }
    // Up to 3.12 `threading` takes its first importer for the main thread; what matters there is that exit does not
    // wait for that one.
    if (python_version() >= 0x030d0000)
        EXPECT(run_plainly("import threading; assert threading.main_thread() is threading.current_thread()"));
    expect_hook();
}
TEST_CASE("many threads may make first contact at once, and exit works after it") {
    check_succeeds("first contact by many threads at once");
}

CHILD("first contact in an atexit callback") {
    start_as_host();
    static std::string told;
    ref function = native_function([] {
        foreign_detach gap;
        pyattach_status other = run_on_thread([] {
            pyattach_attached scope;
            return pyattach_attached_begin(&scope);
        });
        told += std::to_string(other);
    });
    // Not through publish(), which would be a contact.
    object *main = cpython<object *(const char *)>("PyImport_AddModule")("__main__");
    EXPECT(cpython<int(object *, const char *, object *)>("PyObject_SetAttrString")(main, "contact", function) == 0);
    function.release();
    EXPECT(run_plainly("import atexit, threading; atexit.register(contact)"));
    EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    EXPECT_SENTENCE(told == "2", told);
}
TEST_CASE("an interpreter that first meets the library while it ends is closed from the start") {
    check_succeeds("first contact in an atexit callback");
}
