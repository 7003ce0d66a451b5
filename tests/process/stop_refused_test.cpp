// Where Python cannot be stopped, and the messages there.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"
#include "support/plain_python.hpp"

#include <string>
#include <unistd.h>

using namespace support;

namespace {

int refusals;

void expect_told(const messages &said, const std::string &words) {
    EXPECT_SENTENCE(said.text().find(words) != std::string::npos, said.text());
}

void stop_in_vain() {
    EXPECT(pyattach_interpreter_stop() == PYATTACH_INVALID);
    ++refusals;
}

// An object whose destructor, without any Python function, calls `destructor`.
ref object_with_native_death(void (*destructor)(object *)) {
    auto *make = cpython<object *(void *, const char *, void (*)(object *))>("PyCapsule_New");
    return ref(make(&refusals, nullptr, destructor));
}

} // namespace

CHILD("stopped in an exit callback") {
    start_python();
    messages said;
    auto call = [](pyattach_interpreter *, void *) {
        stop_in_vain();
        attached here; // attached it is no better
        stop_in_vain();
    };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), call, nullptr) == PYATTACH_OK);
    if (child_arguments().empty()) {
        EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    } else {
        cpython<int()>("PyGILState_Ensure")();
        EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    }
    EXPECT(refusals == 2);
    expect_told(said, "because Python is ending");
}
TEST_CASE("an exit callback that stops Python is refused, and the end goes on") {
    check_succeeds("stopped in an exit callback");
    check_succeeds("stopped in an exit callback", {{"by the host"}});
}

CHILD("stopped in a destructor that a drain runs") {
    start_python();
    messages said;
    const bool at_end = !child_arguments().empty();
    ref object;
    {
        attached here;
        object = object_with_native_death([](::support::object *) { stop_in_vain(); });
    }
    object.drop(); // to the pool
    if (!at_end) {
        attached here; // which drains
        EXPECT(refusals == 1);
        expect_told(said, "runs inside a call of this library");
        EXPECT(eval_int("6 * 7") == 42);
    }
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(refusals == 1);
    if (at_end)
        expect_told(said, "because Python is ending");
}
TEST_CASE("a destructor that a drain runs is refused to stop Python, also when it runs at the end") {
    check_succeeds("stopped in a destructor that a drain runs");
    check_succeeds("stopped in a destructor that a drain runs", {{"at the end"}});
}

CHILD("stopped by a Python function") {
    start_python();
    messages said;
    {
        attached here;
        publish("stop", native_function(stop_in_vain));
        publish("stop_detached", native_function([] {
                    foreign_detach gap; // as a foreign function interface does
                    stop_in_vain();
                }));
        run("stop()\ndef deeper(): stop_detached()\ndeeper()\nlast = 6 * 7");
        EXPECT(eval_int("last") == 42);
    }
    EXPECT(refusals == 2);
    expect_told(said, "called by a Python function");
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
}
TEST_CASE("a Python function cannot stop the Python that it runs in") {
    check_succeeds("stopped by a Python function");
}

CHILD("stopped by an atexit callback") {
    load_python();
    messages said;
    plain::start();
    {
        attached contact;
        publish("stop", native_function(stop_in_vain));
        run("import atexit\natexit.register(stop)\natexit.register(lambda: stop())"); // no Python function; and one
    }
    if (child_arguments().empty())
        EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    else {
        EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    }
    EXPECT(refusals == 2);
    expect_told(said, "because Python is ending");
}
TEST_CASE("an atexit callback that stops Python is refused") {
    check_succeeds("stopped by an atexit callback");
    check_succeeds("stopped by an atexit callback", {{"of a stop"}});
}

CHILD("stopped in the exit callback of a sub-interpreter") {
    start_python();
    messages said;
    {
        attached here;
        sub_interpreter sub;
        auto call = [](pyattach_interpreter *, void *) { stop_in_vain(); };
        EXPECT(pyattach_exit_callback_add(sub.handle(), call, nullptr) == PYATTACH_OK);
        sub.end();
        EXPECT(refusals == 1);
        EXPECT_SENTENCE(!said.text().empty(), said.text());
        EXPECT(eval_int("6 * 7") == 42);
    }
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
}
TEST_CASE("the exit callback of a sub-interpreter that stops Python is refused") {
    check_succeeds("stopped in the exit callback of a sub-interpreter");
}

CHILD("stopped in the wrong place") {
    start_python();
    {
        messages said;
        run_on_thread(stop_in_vain);
        expect_told(said, "another thread than Python's main thread, " + std::to_string(getpid()) + " (");
        run_on_thread(stop_in_vain);
        EXPECT_SENTENCE(said.text().find("main thread,") == said.text().rfind("main thread,"), said.text()); // once
    }
    {
        messages said;
        run_on_thread(stop_in_vain);
        expect_told(said, "Call it there."); // once to each handler
    }
    messages said;
    {
        attached here;
        detached gap;
        stop_in_vain();
        expect_told(said, "inside a detached scope");
    }
    {
        attached here;
        forbidden traverse;
        EXPECT(pyattach_interpreter_stop() == PYATTACH_FORBIDDEN);
        expect_told(said, "inside a forbidden scope");
    }
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_NOT_INITIALIZED);
    expect_told(said, "does not run");
}
TEST_CASE("a stop in the wrong place says which thread may stop Python, or what to do first") {
    check_succeeds("stopped in the wrong place");
}

CHILD("stopped after its thread has ended") {
    open_libpython_on_a_thread_that_stays();
    messages said;
    static pid_t starter;
    run_on_thread([] {
        starter = gettid();
        start_python();
    });
    wait_until("the kernel to take the thread away",
               [] { return access(("/proc/self/task/" + std::to_string(starter)).c_str(), F_OK) != 0; });
    stop_in_vain();
    expect_told(said, "the thread that started Python (" + std::to_string(starter) + ") has ended");
    end_child();
}
TEST_CASE("a stop says that the one thread that might stop Python has ended") {
    check_succeeds("stopped after its thread has ended");
}
