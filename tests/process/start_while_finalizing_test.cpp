// Starting Python on one thread while another one ends it.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <atomic>

using namespace support;

namespace {

// start_python() does so once.
pyattach_status start_again() {
    pyattach_start_options options = start_options();
    return pyattach_interpreter_start_with(&options);
}

std::atomic<bool> begins_to_start{false}, has_started{false};
task *starter;

bool is_initialized() { return cpython<int()>("Py_IsInitialized")() != 0; }

// Calls `destructor` when CPython tears its modules down: Py_IsInitialized() is false, and finalization still runs.
void call_in_the_midst_of_the_end(void (*destructor)(object *)) {
    attached here;
    static int anything;
    auto *make = cpython<object *(void *, const char *, void (*)(object *))>("PyCapsule_New");
    ref capsule(make(&anything, nullptr, destructor));
    publish("last", capsule);
}

void let_another_thread_start(object *) {
    EXPECT(!is_initialized());
    begins_to_start = true;
    starter->wait_until_asleep(); // or until it is through, which it must not be
    EXPECT(!has_started);
    EXPECT(!is_initialized());
}

} // namespace

CHILD("started on a thread while another one ends Python") {
    open_libpython_on_a_thread_that_stays();
    start_python();
    pyattach_interpreter *before = pyattach_interpreter_main();
    call_in_the_midst_of_the_end(let_another_thread_start);
    task starting("the starting thread to end", [&] {
        wait_until("the end to be under way", [] { return begins_to_start.load(); });
        EXPECT(start_again() == PYATTACH_OK);
        has_started = true;
        EXPECT(pyattach_interpreter_main() != before);
        {
            attached here;
            EXPECT(eval_int("6 * 7") == 42);
        }
        EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    });
    starter = &starting;
    const std::string how = child_arguments()[0];
    if (how == "stop") {
        EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    } else {
        cpython<int()>("PyGILState_Ensure")();
        if (how == "atexit cleared")
            run("import atexit; atexit._clear()");
        EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    }
    starting.join();
    EXPECT(!is_initialized());
}
TEST_CASE("a start on one thread during finalization on another waits, and then starts a new generation") {
    for (const char *how : {"stop", "by the host", "atexit cleared"})
        check_succeeds("started on a thread while another one ends Python", {{how}});
}

CHILD("started by the thread that ends Python") {
    start_python();
    static messages said;
    static int called;
    call_in_the_midst_of_the_end([](object *) {
        ++called;
        detached gap;
        EXPECT(pyattach_interpreter_start() == PYATTACH_FINALIZING);
        EXPECT_SENTENCE(said.text().find("while it ends Python") != std::string::npos, said.text());
    });
    if (child_arguments()[0] == "stop") {
        EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    } else {
        cpython<int()>("PyGILState_Ensure")();
        EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    }
    EXPECT(called == 1);
    EXPECT(start_again() == PYATTACH_OK);
    attached here;
    EXPECT(eval_int("1") == 1);
}
TEST_CASE("the finalizing thread cannot start Python before finalization is complete") {
    check_succeeds("started by the thread that ends Python", {{"stop"}});
    check_succeeds("started by the thread that ends Python", {{"by the host"}});
}
