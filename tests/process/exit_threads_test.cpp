// Exit with native threads: inside and attached, inside and detached, attaching too late, never leaving.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "process/stuck_thread.hpp"

#include <atomic>
#include <csignal>
#include <pthread.h>

using namespace support;

namespace {

// Opens when the exit has begun: counted down by an exit callback, which runs after the gate closed.
latch exit_began("the exit to begin");

void learn_of_exit() {
    auto call = [](pyattach_interpreter *, void *) { exit_began.count_down(); };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), call, nullptr) == PYATTACH_OK);
}

constexpr long long ms = 1000000;

} // namespace

CHILD("exit waits for a thread inside") {
    start_python();
    learn_of_exit();
    latch inside("the thread to be inside");
    std::atomic<bool> left{false};
    task thread("the thread inside to end", [&] {
        pyattach_attached scope;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
        {
            foreign_detach gap; // what the library cannot see: it counts as attached
            inside.count_down();
            exit_began.wait();
        }
        // The gate is closed; a thread inside still has an interpreter.
        EXPECT(eval_int("6 * 7") == 42);
        pyattach_attached nested;
        EXPECT(pyattach_attached_begin(&nested) == PYATTACH_OK);
        pyattach_attached_end(&nested);
        left = true;
        pyattach_attached_end(&scope);
    });
    inside.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(left);
    thread.join();
}
// jni-rs test_destroy
TEST_CASE("exit waits for threads inside, and they may go on using Python") {
    check_succeeds("exit waits for a thread inside");
}

CHILD("exit waits for a thread that comes back from a detached scope") {
    start_python();
    learn_of_exit();
    pyattach_set_exit_timeout(-1);
    latch inside("the thread to be inside");
    pyattach_status came_back = PYATTACH_INVALID;
    task thread("the thread inside to end", [&] {
        attached here;
        {
            detached gap;
            inside.count_down();
            exit_began.wait(); // and at once comes back, within the second that it has
            came_back = gap.end();
        }
        if (came_back == PYATTACH_OK)
            EXPECT(eval_int("1") == 1);
    });
    inside.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    thread.join();
    EXPECT(came_back == PYATTACH_OK);
}
TEST_CASE("a thread that comes back from a detached scope soon after exit began is let in") {
    check_succeeds("exit waits for a thread that comes back from a detached scope");
}

CHILD("a thread detached inside through the end") {
    start_python();
    pyattach_set_exit_timeout(10 * ms);
    pyattach_interpreter *main = pyattach_interpreter_main();
    latch inside("the thread to be inside"), ended("the interpreter to end");
    task thread("the thread inside to end", [&] {
        if (!child_arguments().empty()) {
            attached warm;
        }
        pyattach_attached outer, nested;
        pyattach_detached gap;
        EXPECT(pyattach_attached_begin(&outer) == PYATTACH_OK);
        EXPECT(pyattach_attached_begin(&nested) == PYATTACH_OK);
        EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
        inside.count_down();
        ended.wait();
        EXPECT(pyattach_detached_end(&gap) == PYATTACH_FINALIZING);
        // All scopes are inert from here on, whether queried, ended or begun again.
        EXPECT(pyattach_is_attached() == 0);
        EXPECT(pyattach_attach_depth() == 0);
        pyattach_attached late;
        EXPECT(pyattach_attached_begin(&late) == PYATTACH_NOT_INITIALIZED);
        EXPECT(pyattach_attached_begin_in(&late, main) == PYATTACH_FINALIZING);
        pyattach_detached second;
        EXPECT(pyattach_detached_begin(&second) == PYATTACH_NOT_ATTACHED);
        pyattach_attached_end(&nested);
        pyattach_attached_end(&outer);
        EXPECT(pyattach_attach_depth() == 0);
    });
    inside.wait();
    // The exit waits a second for a thread that is detached inside, which does not make the stop a time-out.
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    ended.count_down();
    thread.join();
}
// PyO3 test_detach_during_finalization
TEST_CASE("a thread that was detached inside through the end gets FINALIZING, and its scopes are inert") {
    check_succeeds("a thread detached inside through the end");
    check_succeeds("a thread detached inside through the end", {{"warm"}});
}

CHILD("a thread detached twice through the end") {
    start_python();
    pyattach_set_exit_timeout(10 * ms);
    latch inside("the thread to be inside"), ended("the interpreter to end");
    task thread("the thread inside to end", [&] {
        pyattach_attached outer, inner;
        pyattach_detached first, second;
        EXPECT(pyattach_attached_begin(&outer) == PYATTACH_OK);
        EXPECT(pyattach_detached_begin(&first) == PYATTACH_OK);
        EXPECT(pyattach_attached_begin(&inner) == PYATTACH_OK);
        EXPECT(pyattach_detached_begin(&second) == PYATTACH_OK);
        inside.count_down();
        ended.wait();
        EXPECT(pyattach_detached_end(&second) == PYATTACH_FINALIZING);
        pyattach_attached_end(&inner); // inert
        EXPECT(pyattach_detached_end(&first) == PYATTACH_FINALIZING);
        pyattach_attached_end(&outer); // inert
    });
    inside.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    ended.count_down();
    thread.join();
}
TEST_CASE("every detached scope of a thread that was detached through the end returns FINALIZING, innermost first") {
    check_succeeds("a thread detached twice through the end");
}

CHILD("a thread that never leaves") {
    start_python();
    messages said;
    pyattach_set_exit_timeout(50 * ms);
    {
        attached here;
        run("import warnings; warnings.simplefilter('always')");
    }
    start_stuck_thread("stuck-thread");
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT);
    EXPECT(said.text().find("stuck-thread") != std::string::npos);
    EXPECT(pyattach_interpreter_main() == nullptr);
    end_child();
}
TEST_CASE("a thread that never leaves delays exit up to the time-out, and is named") {
    child_result result = run_child("a thread that never leaves");
    check_succeeds(result);
    INFO(result.output);
    CHECK(result.output.find("RuntimeWarning") != std::string::npos);
    CHECK(result.output.find("stuck-thread") != std::string::npos);
}

CHILD("an endless wait that Ctrl-C ends") {
    load_python();
    pyattach_start_options options = start_options();
    options.install_signal_handlers = 1;
    EXPECT(pyattach_interpreter_start_with(&options) == PYATTACH_OK);
    pyattach_set_exit_timeout(-1);
    start_stuck_thread();
    auto interrupt = [](pyattach_interpreter *, void *) { raise(SIGINT); };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), interrupt, nullptr) == PYATTACH_OK);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT);
    end_child();
}
TEST_CASE("without a limit, Ctrl-C still ends the wait") { check_succeeds("an endless wait that Ctrl-C ends"); }

CHILD("a thread that comes too late") {
    start_python();
    learn_of_exit();
    pyattach_interpreter *main = pyattach_interpreter_main();
    pyattach_status unnamed = PYATTACH_OK, named = PYATTACH_OK;
    // An exit callback waits for the thread, so that it attaches during finalization.
    task thread("the late thread to end", [&] {
        exit_began.wait();
        pyattach_attached scope;
        unnamed = pyattach_attached_begin(&scope);
        named = pyattach_attached_begin_in(&scope, main);
    });
    auto join = [](pyattach_interpreter *, void *thread) { static_cast<task *>(thread)->join(); };
    EXPECT(pyattach_exit_callback_add(main, join, &thread) == PYATTACH_OK);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(unnamed == PYATTACH_FINALIZING);
    EXPECT(named == PYATTACH_FINALIZING);
}
// CPython #132948, #124619
TEST_CASE("a thread that attaches while the interpreter ends gets FINALIZING") {
    check_succeeds("a thread that comes too late");
}

CHILD("a thread attached by other code through the end") {
    start_python();
    static latch inside("the thread to be inside"), ended("the interpreter to end");
    static std::atomic<bool> came_back{false};
    task thread("a thread that is parked", [] {
        cpython<int()>("PyGILState_Ensure")();
        pyattach_detached gap;
        EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
        inside.count_down();
        ended.wait();
        pyattach_status ignored = pyattach_detached_end(&gap);
        (void)ignored;
        came_back = true;
    });
    inside.wait();
    pyattach_set_exit_timeout(-1); // it must not hold exit up
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    ended.count_down();
    thread.wait_until_asleep();
    EXPECT(!came_back);
    EXPECT(!thread.has_returned());
    thread.abandon();
    end_child();
}
TEST_CASE("a thread that other code attached never delays exit, and is parked when it comes back") {
    check_succeeds("a thread attached by other code through the end");
}

CHILD("a thread attached by other code that comes back into the next life") {
    start_python();
    static latch inside("the thread to be inside"), ended("the interpreter to end");
    static std::atomic<bool> came_back{false};
    task thread("a thread that is parked", [] {
        cpython<int()>("PyGILState_Ensure")();
        pyattach_detached gap;
        EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
        inside.count_down();
        ended.wait();
        pyattach_status ignored = pyattach_detached_end(&gap);
        (void)ignored;
        came_back = true;
    });
    inside.wait();
    EXPECT(!stop_python());
    start_python(); // the state that the thread would come back with is gone, though Python runs
    ended.count_down();
    thread.wait_until_asleep();
    {
        attached here;
        EXPECT(eval_int("1") == 1);
    }
    EXPECT(!came_back);
    EXPECT(!thread.has_returned());
    thread.abandon();
    end_child();
}
TEST_CASE("a thread that other code attached is parked when it comes back after a restart") {
    check_succeeds("a thread attached by other code that comes back into the next life");
}
