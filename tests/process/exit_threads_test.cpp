// Exit with native threads inside: coming back, detached, attached by other code, and never leaving.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/stuck_thread.hpp"

#include <atomic>
#include <csignal>

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

namespace {

// A thread that other code attached, and that comes back from its gap when told to, which parks it.
struct parked_thread {
    latch inside{"the thread to be inside"}, may_come_back{"permission to come back"};
    std::atomic<bool> came_back{false};
    task thread{"a thread that is parked", [this] {
                    cpython<int()>("PyGILState_Ensure")();
                    pyattach_detached gap;
                    EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
                    inside.count_down();
                    may_come_back.wait();
                    pyattach_status ignored = pyattach_detached_end(&gap);
                    (void)ignored;
                    came_back = true;
                }};
    parked_thread() { inside.wait(); }
    // And ends the process.
    [[noreturn]] void check() {
        EXPECT(!came_back);
        EXPECT(!thread.has_returned());
        thread.abandon();
        end_child();
    }
};

} // namespace

CHILD("a thread attached by other code through the end") {
    start_python();
    parked_thread other;
    pyattach_set_exit_timeout(-1); // it must not hold exit up
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    other.may_come_back.count_down();
    other.thread.wait_until_asleep();
    other.check();
}
TEST_CASE("a thread that other code attached never delays exit, and is parked when it comes back") {
    check_succeeds("a thread attached by other code through the end");
}

CHILD("a thread attached by other code that comes back into the next life") {
    start_python();
    parked_thread other;
    EXPECT(!stop_python());
    start_python(); // the state that the thread would come back with is gone, though Python runs
    other.may_come_back.count_down();
    other.thread.wait_until_asleep();
    {
        attached here;
        EXPECT(eval_int("1") == 1);
    }
    other.check();
}
TEST_CASE("a thread that other code attached is parked when it comes back after a restart") {
    check_succeeds("a thread attached by other code that comes back into the next life");
}
