// Stops while a thread keeps the GIL in native code.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/plain_python.hpp"

#include <cstring>
#include <pthread.h>

using namespace support;

namespace {

constexpr long long ms = 1000000;

latch is_kept("a thread to keep Python"), may_detach("permission to detach");

// Attached, and blocked in native code.
void keep_python() {
    is_kept.count_down();
    may_detach.wait();
}

// start_python() does so once.
pyattach_status start_again() {
    pyattach_start_options options = start_options();
    return pyattach_interpreter_start_with(&options);
}

bool is_initialized() { return cpython<int()>("Py_IsInitialized")() != 0; }

void expect_refused_everywhere() {
    EXPECT(run_on_thread([] {
               pyattach_attached scope;
               return pyattach_attached_begin(&scope);
           }) == PYATTACH_FINALIZING);
}

void register_atexit() {
    attached here;
    run("import atexit; atexit.register(lambda: print('atexit', flush=True))");
}

void expect_named(const std::string &said) {
    EXPECT_SENTENCE(said.find("keeps it in native code") != std::string::npos, said);
    EXPECT_SENTENCE(said.find("keeper") != std::string::npos, said);
}

} // namespace

CHILD("a stop that a thread inside is in the way of from the beginning") {
    start_python();
    register_atexit();
    messages said;
    pyattach_set_exit_timeout(10 * ms);
    pyattach_interpreter *main = pyattach_interpreter_main();
    task keeper("the thread that keeps Python to end", [] {
        pthread_setname_np(pthread_self(), "keeper");
        attached here;
        keep_python();
    });
    is_kept.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT);
    expect_named(said.text());
    EXPECT(is_initialized());
    EXPECT(pyattach_interpreter_main() == main);
    EXPECT(pyattach_is_attached() == 0);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT); // as often as one likes
    EXPECT(is_initialized());
    may_detach.count_down();
    keeper.join();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(!is_initialized());
}
TEST_CASE(
    "a stop does not wait beyond the time-out for a thread that keeps the GIL, names it, and can be tried again") {
    child_result result = run_child("a stop that a thread inside is in the way of from the beginning");
    check_succeeds(result);
    CHECK(result.output == "atexit\n"); // once
}

CHILD("a stop that a thread comes in the way of") {
    start_python();
    register_atexit();
    messages said;
    pyattach_set_exit_timeout(150 * ms); // within this, the stop would attach to run signal handlers
    static latch inside("the thread to be inside"), exit_began("the exit to begin");
    task keeper("the thread that keeps Python to end", [] {
        pthread_setname_np(pthread_self(), "keeper");
        attached here;
        {
            foreign_detach gap; // as in time.sleep()
            inside.count_down();
            exit_began.wait();
        }
        keep_python();
    });
    inside.wait();
    auto call = [](pyattach_interpreter *, void *) {
        exit_began.count_down();
        is_kept.wait();
    };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), call, nullptr) == PYATTACH_OK);
    pyattach_attached scope;
    if (!child_arguments().empty())
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT);
    expect_named(said.text());
    EXPECT(is_initialized());
    EXPECT(pyattach_is_attached() == 0); // also if the caller was
    EXPECT(pyattach_attach_depth() == 0);
    if (!child_arguments().empty())
        pyattach_attached_end(&scope); // inert
    expect_refused_everywhere();
    may_detach.count_down();
    keeper.join();
    expect_refused_everywhere(); // the gate stays closed
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(!is_initialized());
    EXPECT(pyattach_interpreter_stop() == PYATTACH_NOT_INITIALIZED);
    EXPECT(start_again() == PYATTACH_OK);
    attached here;
    EXPECT(eval_int("1") == 1);
}
TEST_CASE("a stop does not wait for a thread that attaches while the stop waits; the gate stays closed, and Python "
          "keeps running") {
    for (const char *argument : {"", "attached"}) {
        child_options options;
        if (*argument)
            options.arguments = {argument};
        child_result result = run_child("a stop that a thread comes in the way of", options);
        check_succeeds(result);
        CHECK(result.output == "atexit\n");
    }
}

CHILD("Py_FinalizeEx with a thread in the way") {
    start_python();
    pyattach_set_exit_timeout(10 * ms);
    static latch inside("the thread to be inside"), exit_began("the exit to begin");
    // Only the message handler wakes the thread, so the message must come before the exit waits for the GIL.
    pyattach_set_message_handler(
        [](const char *message, void *) {
            if (std::strstr(message, "keeper"))
                may_detach.count_down();
        },
        nullptr);
    task keeper("the thread that keeps Python to end", [] {
        pthread_setname_np(pthread_self(), "keeper");
        pyattach_attached scope;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
        {
            foreign_detach gap;
            inside.count_down();
            exit_began.wait();
        }
        keep_python();
        pyattach_attached_end(&scope);
    });
    inside.wait();
    auto call = [](pyattach_interpreter *, void *) {
        exit_began.count_down();
        is_kept.wait();
    };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), call, nullptr) == PYATTACH_OK);
    cpython<int()>("PyGILState_Ensure")();
    EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    EXPECT(!is_initialized());
    keeper.join();
}
TEST_CASE("an exit that cannot return names the threads inside before it waits for the GIL") {
    check_succeeds("Py_FinalizeEx with a thread in the way");
}

CHILD("a stop with a thread of other code in the way") {
    start_python();
    messages said;
    pyattach_set_exit_timeout(10 * ms);
    task keeper("the thread that keeps Python to end", [] {
        foreign_attach here;
        keep_python();
    });
    is_kept.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT);
    EXPECT_SENTENCE(said.text().find("None is inside") != std::string::npos, said.text());
    may_detach.count_down();
    keeper.join();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
}
TEST_CASE("a stop waits no longer than its time-out for a thread that other code attached") {
    check_succeeds("a stop with a thread of other code in the way");
}

namespace {

std::string order;

// The status of an attach on another thread.
pyattach_status attach_elsewhere() {
    return run_on_thread([] {
        pyattach_attached scope;
        const pyattach_status status = pyattach_attached_begin(&scope);
        if (status == PYATTACH_OK)
            pyattach_attached_end(&scope);
        return status;
    });
}

} // namespace

CHILD("a stop that runs atexit callbacks") {
    load_python();
    plain::start();
    EXPECT(cpython<int(const char *, void *)>("PyRun_SimpleStringFlags")(
               "import atexit\nclass Early:\n    def __call__(self): self.look()\n"
               "early = Early(); atexit.register(early)\n",
               nullptr) == 0);
    pyattach_attached contact;
    EXPECT(pyattach_attached_begin(&contact) == PYATTACH_OK);
    publish("look", native_function([] {
                detached gap;
                order += "atexit:" + std::to_string(attach_elsewhere()) + " ";
                EXPECT(gap.end() == PYATTACH_OK);
            }));
    run("import threading\nearly.look = look\natexit.register(look)\n"
        "def raises(): raise ValueError('left')\natexit.register(raises)\n"
        "shut_down = []\nthreading._register_atexit(lambda: shut_down.append(1))\n"
        "atexit.register(lambda: print('shut down', len(shut_down), flush=True))");
    pyattach_attached_end(&contact);
    auto call = [](pyattach_interpreter *, void *) { order += "exit:" + std::to_string(attach_elsewhere()); };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), call, nullptr) == PYATTACH_OK);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT_SENTENCE(order == "atexit:0 atexit:0 exit:2", order);
}
TEST_CASE("a stop runs every atexit callback once, while threads still attach, and then the exit callbacks") {
    child_result result = run_child("a stop that runs atexit callbacks");
    check_succeeds(result);
    INFO(result.output);
    CHECK(result.output.find("shut down 1\n") == 0);
    CHECK(result.output.find("shut down 1", 5) == std::string::npos);
    CHECK(result.output.find("ValueError: left") != std::string::npos);
}
