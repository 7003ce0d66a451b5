// Holds at the end of an interpreter: it waits, lets threads in meanwhile, and says at the time-out what it waited for.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/plain_python.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "process/interpreter_kinds.hpp"

#include <atomic>
#include <csignal>
#include <cstring>

#include "pyattach/pyattach.hpp"

using namespace support;

namespace {

constexpr long long ms = 1000000;

// Opens when the exit has begun: counted down by an exit callback.
latch exit_began("the exit to begin");

void learn_of_exit(pyattach_interpreter *interp) {
    auto call = [](pyattach_interpreter *, void *) { exit_began.count_down(); };
    EXPECT(pyattach_exit_callback_add(interp, call, nullptr) == PYATTACH_OK);
}

// The states that a second hold and the interpreter are in while the first hold delays the end.
void expect_ending(pyattach_interpreter *interp) {
    pyattach_hold late;
    EXPECT(pyattach_hold_begin(&late, interp, "late") == PYATTACH_FINALIZING);
    EXPECT(pyattach_interpreter_is_ending(interp) == 1);
    auto nothing = [](pyattach_interpreter *, void *) {};
    EXPECT(pyattach_exit_callback_add(interp, nothing, nullptr) == PYATTACH_FINALIZING);
}

pyattach_status start_again() {
    pyattach_start_options options = start_options();
    return pyattach_interpreter_start_with(&options);
}

} // namespace

CHILD("hold: lets threads in") {
    start_python();
    pyattach_set_exit_timeout(-1);
    pyattach_interpreter *main = pyattach_interpreter_main();
    learn_of_exit(main);
    pyattach_hold hold;
    EXPECT(pyattach_hold_begin(&hold, child_arguments().empty() ? nullptr : main, "flush") == PYATTACH_OK);
    task flusher("the thread that flushes", [&] {
        exit_began.wait();
        expect_ending(main);
        EXPECT(pyattach_interpreter_is_ending(nullptr) == 1);
        for (int i = 0; i < 3; ++i) { // the first attach makes a tstate, the others use it
            attached here;
            EXPECT(eval_int("6 * 7") == 42);
            detached gap;
            EXPECT(gap.end() == PYATTACH_OK);
        }
        run_on_thread([] { attached here; }); // also a thread that begins only now
        pyattach_hold_end(&hold);
    });
    if (child_arguments().empty()) {
        EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    } else {
        cpython<int()>("PyGILState_Ensure")();
        EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    }
    flusher.join();
    EXPECT(pyattach_interpreter_is_ending(main) == 1);
    EXPECT(pyattach_interpreter_is_ending(nullptr) == 1);
    EXPECT(try_to_attach_in(main) == PYATTACH_FINALIZING);
    EXPECT(start_again() == PYATTACH_OK);
    EXPECT(pyattach_interpreter_is_ending(nullptr) == 0);
    EXPECT(pyattach_interpreter_is_ending(main) == 1);
}
TEST_CASE("an end waits for a hold, lets threads in until it has ended, and refuses new holds") {
    check_succeeds("hold: lets threads in");
    check_succeeds("hold: lets threads in", {{"Py_FinalizeEx"}});
}

CHILD("hold: threads inside after the last hold") {
    start_python();
    pyattach_set_exit_timeout(-1);
    pyattach_interpreter *main = pyattach_interpreter_main();
    learn_of_exit(main);
    pyattach_hold hold;
    EXPECT(pyattach_hold_begin(&hold, nullptr, "flush") == PYATTACH_OK);
    std::atomic<bool> has_left{false};
    task worker("the thread inside to end", [&] {
        exit_began.wait();
        attached here; // let in by the hold
        pyattach_hold_end(&hold);
        detached gap;
        wait_until("the gate to close",
                   [main] { return run_on_thread([main] { return try_to_attach_in(main); }) == PYATTACH_FINALIZING; });
        EXPECT(gap.end() == PYATTACH_OK); // closed, and not sealed yet
        has_left = true;
    });
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(has_left);
    worker.join();
}
TEST_CASE("once the last hold has ended the gate closes, and the end waits for the threads that it had let in") {
    check_succeeds("hold: threads inside after the last hold");
}

CHILD("hold: time-out") {
    start_python();
    messages said;
    pyattach_set_exit_timeout(10 * ms);
    pyattach_interpreter *main = pyattach_interpreter_main();
    pyattach_hold named, unnamed, ended;
    EXPECT(pyattach_hold_begin(&named, nullptr, "the queue of the exporter, which is long") == PYATTACH_OK);
    EXPECT(pyattach_hold_begin(&unnamed, nullptr, nullptr) == PYATTACH_OK);
    EXPECT(pyattach_hold_begin(&ended, nullptr, "ended") == PYATTACH_OK);
    pyattach_hold_end(&ended);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT);
    EXPECT_SENTENCE(said.text().find("2 holds are left (without a label, the queue of the exporter, whic)") !=
                        std::string::npos,
                    said.text());
    EXPECT(try_to_attach_in(main) == PYATTACH_FINALIZING);
    pyattach_hold_end(&unnamed); // whose interpreter is over
    EXPECT(start_again() == PYATTACH_OK);
    EXPECT(pyattach_hold_begin(&unnamed, nullptr, nullptr) == PYATTACH_OK);
    pyattach_hold_end(&unnamed);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK); // does not wait for a hold of another life
    pyattach_hold_end(&named);
}
TEST_CASE("at the time-out the message names the labels of the holds that are left, which may end later") {
    check_succeeds("hold: time-out");
}

CHILD("hold: Ctrl-C") {
    load_python();
    pyattach_start_options options = start_options();
    options.install_signal_handlers = 1;
    EXPECT(pyattach_interpreter_start_with(&options) == PYATTACH_OK);
    pyattach_set_exit_timeout(-1);
    learn_of_exit(pyattach_interpreter_main());
    pyattach_hold hold;
    EXPECT(pyattach_hold_begin(&hold, nullptr, "never ended") == PYATTACH_OK);
    task interrupter("the thread that interrupts", [] {
        exit_began.wait();
        std::raise(SIGINT);
    });
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT);
    interrupter.join();
}
TEST_CASE("Ctrl-C ends the wait for a hold") { check_succeeds("hold: Ctrl-C"); }

CHILD("hold: sub-interpreter") {
    start_python();
    pyattach_set_exit_timeout(-1);
    attached here;
    sub_interpreter sub(kind_asked_for());
    pyattach_interpreter *handle = sub.handle();
    learn_of_exit(handle);
    pyattach_hold hold;
    EXPECT(pyattach_hold_begin(&hold, handle, "sub") == PYATTACH_OK);
    task worker("the thread that ends the hold", [&] {
        exit_began.wait();
        expect_ending(handle);
        EXPECT(pyattach_interpreter_is_ending(nullptr) == 0);
        {
            attached there(handle);
            EXPECT(eval_int("6 * 7") == 42);
        }
        pyattach_hold_end(&hold);
    });
    sub.end();
    EXPECT(pyattach_interpreter_is_ending(handle) == 1);
    detached gap;
    worker.join();
}
TEST_CASE("the end of a sub-interpreter waits for its holds") { check_each_kind("hold: sub-interpreter"); }

CHILD("hold: without Python") {
    pyattach_hold hold;
    load_python();
    EXPECT(pyattach_interpreter_is_ending(nullptr) == 0);
    EXPECT(pyattach_hold_begin(&hold, nullptr, "early") == PYATTACH_NOT_INITIALIZED);
    plain::start(); // without the library: the hold is its first use
    cpython<void *()>("PyEval_SaveThread")();
    EXPECT(pyattach_interpreter_is_ending(nullptr) == 0);
    EXPECT(pyattach_hold_begin(&hold, nullptr, "first use") == PYATTACH_OK);
    pyattach_interpreter *main = pyattach_interpreter_main();
    learn_of_exit(main);
    task ender("the thread that ends the hold", [&] {
        exit_began.wait();
        pyattach_hold_end(&hold);
    });
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    ender.join();
    EXPECT(pyattach_hold_begin(&hold, nullptr, "late") == PYATTACH_NOT_INITIALIZED);
    EXPECT(pyattach_hold_begin(&hold, main, "late") == PYATTACH_FINALIZING);
    pyattach::hold refused{std::nothrow, main, "late"};
    EXPECT(!refused && refused.status() == PYATTACH_FINALIZING);
    pyattach_status thrown = PYATTACH_OK;
    try {
        pyattach::hold never{main, "late"};
    } catch (const pyattach::error &error) {
        thrown = error.status();
    }
    EXPECT(thrown == PYATTACH_FINALIZING);
}
TEST_CASE("a hold is refused without Python, and registers one that runs") { check_succeeds("hold: without Python"); }

// --- Misuse ---

namespace {
pyattach_hold shared;
}
CHILD("hold: begun twice") {
    start_python();
    EXPECT(pyattach_hold_begin(&shared, nullptr, "first") == PYATTACH_OK);
    EXPECT(pyattach_hold_begin(&shared, nullptr, "second") == PYATTACH_OK);
}
CHILD("hold: ended twice") {
    start_python();
    EXPECT(pyattach_hold_begin(&shared, nullptr, nullptr) == PYATTACH_OK);
    pyattach_hold_end(&shared);
    pyattach_hold_end(&shared);
}
CHILD("hold: never begun") {
    start_python();
    pyattach_hold_end(&shared);
}
CHILD("hold: refused and ended") {
    load_python();
    EXPECT(pyattach_hold_begin(&shared, nullptr, nullptr) == PYATTACH_NOT_INITIALIZED);
    pyattach_hold_end(&shared);
}
TEST_CASE("a hold that is begun twice, ended twice, refused or never begun is a misuse") {
    check_aborts("hold: begun twice", {"pyattach_hold_begin", "open in this storage"});
    check_aborts("hold: ended twice", {"pyattach_hold_end", "ended already"});
    check_aborts("hold: never begun", {"pyattach_hold_end", "not a hold"});
    check_aborts("hold: refused and ended", {"pyattach_hold_end", "refused"});
}
