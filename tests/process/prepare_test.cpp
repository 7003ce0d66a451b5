// pyattach_thread_prepare where it is refused: no Python, one that is not registered, one that ends, a fork child.
#include "support/attach_options.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/fork.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"

using namespace support;

CHILD("preparing without a Python") {
    EXPECT(pyattach_thread_prepare() == PYATTACH_NO_PYTHON);
    load_python();
    messages said;
    EXPECT(pyattach_thread_prepare() == PYATTACH_NOT_INITIALIZED);
    EXPECT_SENTENCE(said.text().find("pyattach_interpreter_start") != std::string::npos, said.text());
}
CHILD("preparing before the registration") {
    load_python();
    cpython<void(int)>("Py_InitializeEx")(0);
    void *tstate = cpython<void *()>("PyEval_SaveThread")();
    {
        messages said;
        EXPECT(pyattach_thread_prepare() == PYATTACH_NOT_INITIALIZED);
        EXPECT_SENTENCE(said.text().find("has not registered") != std::string::npos, said.text());
        run_on_thread([] { EXPECT(pyattach_thread_prepare() == PYATTACH_NOT_INITIALIZED); });
    }
    { attached registers; }
    run_on_thread([] {
        EXPECT(pyattach_thread_prepare() == (keeps_tstates() ? PYATTACH_OK : PYATTACH_UNSUPPORTED));
        attached here;
        EXPECT(eval_int("1") == 1);
    });
    cpython<void(void *)>("PyEval_RestoreThread")(tstate);
    EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    run_on_thread([] { EXPECT(pyattach_thread_prepare() == PYATTACH_NOT_INITIALIZED); });
}
TEST_CASE("preparing a thread is refused where no Python runs, or none that is registered") {
    check_succeeds("preparing without a Python");
    check_succeeds("preparing before the registration");
}

CHILD("preparing while Python ends") {
    for (int round = 0; round < 2; ++round) {
        start_python();
        latch is_prepared("the thread to be prepared"), has_ended("Python to end");
        task prepared("the prepared thread", [&] {
            EXPECT(pyattach_thread_prepare() == (keeps_tstates() ? PYATTACH_OK : PYATTACH_UNSUPPORTED));
            is_prepared.count_down();
            has_ended.wait();
            EXPECT(pyattach_thread_prepare() == PYATTACH_NOT_INITIALIZED);
        });
        is_prepared.wait();
        static pyattach_status while_ending;
        EXPECT(
            pyattach_exit_callback_add(
                pyattach_interpreter_main(),
                [](pyattach_interpreter *, void *) { run_on_thread([] { while_ending = pyattach_thread_prepare(); }); },
                nullptr) == PYATTACH_OK);
        EXPECT(!stop_python()); // a thread that is only prepared does not hold it up
        EXPECT(while_ending == PYATTACH_FINALIZING);
        has_ended.count_down();
        prepared.join();
    }
}
TEST_CASE("preparing a thread is refused while Python ends, and a prepared thread survives the end") {
    check_succeeds("preparing while Python ends");
}

CHILD("preparing in a fork child") {
    start_python();
    fork_plainly([] { EXPECT(pyattach_thread_prepare() == PYATTACH_UNSUPPORTED); });
}
TEST_CASE("preparing a thread is refused in the child of a raw fork") { check_succeeds("preparing in a fork child"); }

// Where CPython's own main thread never attached through this library, `threading` must not take a native thread for
// it.
CHILD("names before threading was imported") {
    load_python();
    cpython<void(int)>("Py_InitializeEx")(0);
    void *tstate = cpython<void *()>("PyEval_SaveThread")();
    pyattach_set_thread_names(1);
    run_on_thread([] {
        pthread_setname_np(pthread_self(), "first");
        attached here;
        EXPECT(eval_text("__import__('threading').current_thread().name") == "first");
        EXPECT(eval_true("__import__('threading').main_thread() is not __import__('threading').current_thread()"));
    });
    cpython<void(void *)>("PyEval_RestoreThread")(tstate);
    EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
}
TEST_CASE("a native thread that is named first does not become Python's main thread") {
    check_succeeds("names before threading was imported");
}

// The setting survives a fork, and its lock does.
CHILD("a thread hook in a fork child") {
    start_python();
    static std::atomic<int> events;
    pyattach_set_thread_hook([](pyattach_thread_event, pyattach_interpreter *, void *) { ++events; }, nullptr);
    run_on_thread([] { attached here; });
    EXPECT(events == 2);
    fork_plainly([] {
        { attached puts_python_in_order; }
        run_on_thread([] { attached here; });
        EXPECT(events == 4);
        pyattach_set_thread_hook(nullptr, nullptr);
        run_on_thread([] { attached here; });
        EXPECT(events == 4);
    });
    EXPECT(events == 2);
}
TEST_CASE("the thread hook is called in a fork child, too") { check_succeeds("a thread hook in a fork child"); }
