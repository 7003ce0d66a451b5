// Exit callbacks, and the order of events at exit.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/plain_python.hpp"

#include <atomic>
#include <memory>

using namespace support;

namespace {

std::string order;
void append(pyattach_interpreter *, void *text) { order += static_cast<const char *>(text); }
void *text(const char *constant) { return const_cast<char *>(constant); }

} // namespace

CHILD("exit callbacks in order") {
    start_python();
    pyattach_interpreter *main = pyattach_interpreter_main();
    EXPECT(pyattach_exit_callback_add(main, append, text("a")) == PYATTACH_OK);
    EXPECT(pyattach_exit_callback_add(main, append, text("b")) == PYATTACH_OK);
    EXPECT(pyattach_exit_callback_add(main, append, text("c")) == PYATTACH_OK);
    EXPECT(pyattach_exit_callback_add(main, append, text("a")) ==
           PYATTACH_OK); // the address of its text may be another
    EXPECT(pyattach_exit_callback_remove(main, append, text("b")) == PYATTACH_OK);
    EXPECT(pyattach_exit_callback_add(main, append, text("d")) == PYATTACH_OK);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(order == "daca");
    EXPECT(pyattach_exit_callback_remove(main, append, text("c")) == PYATTACH_INVALID); // called already
    start_python();
    EXPECT(order == "daca");
}
TEST_CASE("exit callbacks run once, the last registered first, without those removed") {
    check_succeeds("exit callbacks in order");
}

CHILD("an exit callback looks around") {
    start_python();
    static pthread_t ending = pthread_self();
    static int called = 0;
    pyattach_interpreter *main = pyattach_interpreter_main();
    auto look = [](pyattach_interpreter *interp, void *arg) {
        ++called;
        bool fine = interp == arg && pthread_equal(pthread_self(), ending) && !pyattach_is_attached() &&
                    !cpython_says_attached() && pyattach_attach_depth() == 0;
        // No more callbacks can be added, and the finalizing thread may still attach.
        auto nothing = [](pyattach_interpreter *, void *) {};
        fine = fine && pyattach_exit_callback_add(interp, nothing, nullptr) == PYATTACH_FINALIZING;
        pyattach_attached scope;
        fine = fine && pyattach_attached_begin(&scope) == PYATTACH_OK;
        if (fine) {
            object *result = nullptr;
            fine = pyattach_eval("6 * 7", nullptr, nullptr, &result) == PYATTACH_OK;
            pyattach_decref(result);
            pyattach_detached gap;
            fine = fine && pyattach_detached_begin(&gap) == PYATTACH_OK && pyattach_detached_end(&gap) == PYATTACH_OK;
            pyattach_attached_end(&scope);
        }
        // Other threads are refused: the gate is closed already.
        pyattach_status other = run_on_thread([] {
            pyattach_attached late;
            return pyattach_attached_begin(&late);
        });
        if (!fine || other != PYATTACH_FINALIZING)
            called = 100;
    };
    EXPECT(pyattach_exit_callback_add(main, look, main) == PYATTACH_OK);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(called == 1);
}
TEST_CASE("an exit callback runs on the ending thread, detached, after the gate closed; it may attach") {
    check_succeeds("an exit callback looks around");
}

CHILD("an exit callback that ends the threads inside") {
    start_python();
    pyattach_set_exit_timeout(-1);
    static latch inside("the thread to be inside"), told_to_end("the exit callback");
    static task *thread;
    task worker("the worker to end", [] {
        attached here;
        detached gap;
        inside.count_down();
        told_to_end.wait();
    });
    thread = &worker;
    inside.wait();
    auto end = [](pyattach_interpreter *, void *) {
        told_to_end.count_down();
        thread->join(); // it comes back from its detached scope meanwhile
    };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), end, nullptr) == PYATTACH_OK);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
}
TEST_CASE("an exit callback may wake and join threads that are inside") {
    check_succeeds("an exit callback that ends the threads inside");
}

namespace {

std::atomic<bool> begins_to_take_back{false}, has_returned{false};
task *remover;

} // namespace

CHILD("an exit callback that is taken back while it is called") {
    start_python();
    static latch called("the exit callback to be called");
    pyattach_interpreter *main = pyattach_interpreter_main();
    auto call = [](pyattach_interpreter *, void *) {
        called.count_down();
        wait_until("the other thread to begin", [] { return begins_to_take_back.load(); });
        remover->wait_until_asleep(); // or until it is through, which it must not be
        pyattach_attached scope;      // the thread that waits is detached
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
        pyattach_attached_end(&scope);
        has_returned = true;
    };
    EXPECT(pyattach_exit_callback_add(main, call, nullptr) == PYATTACH_OK);
    const bool is_attached = !child_arguments().empty();
    latch ready("the thread that takes it back");
    task taking("the thread that takes it back", [&] {
        pyattach_attached scope;
        if (is_attached)
            EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
        {
            std::unique_ptr<foreign_detach> gap(is_attached ? new foreign_detach : nullptr);
            ready.count_down();
            called.wait();
        }
        begins_to_take_back = true;
        EXPECT(pyattach_exit_callback_remove(main, call, nullptr) == PYATTACH_INVALID);
        EXPECT(has_returned);
        if (is_attached) {
            EXPECT(eval_int("6 * 7") == 42);
            pyattach_attached_end(&scope);
        }
    });
    remover = &taking;
    ready.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    taking.join();
}
TEST_CASE("removing an exit callback that is running returns after it has returned, so its argument may be freed") {
    check_succeeds("an exit callback that is taken back while it is called");
    check_succeeds("an exit callback that is taken back while it is called", {{"attached"}});
}

CHILD("an exit callback that takes itself back") {
    start_python();
    messages said;
    static int called = 0;
    static pyattach_exit_callback itself = [](pyattach_interpreter *interp, void *) {
        ++called;
        EXPECT(pyattach_exit_callback_remove(interp, itself, nullptr) == PYATTACH_INVALID); // does not wait for itself
    };
    pyattach_interpreter *main = pyattach_interpreter_main();
    EXPECT(pyattach_exit_callback_add(main, itself, nullptr) == PYATTACH_OK);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(called == 1);
    EXPECT(pyattach_exit_callback_remove(main, itself, nullptr) == PYATTACH_INVALID);
    EXPECT_SENTENCE(said.text().empty(), said.text()); // it was called: nothing went wrong
}
TEST_CASE("an exit callback that removes itself neither waits for itself nor causes a message") {
    check_succeeds("an exit callback that takes itself back");
}

CHILD("exit callbacks, with atexit cleared") {
    start_python();
    pyattach_interpreter *main = pyattach_interpreter_main();
    EXPECT(pyattach_exit_callback_add(main, append, text("a")) == PYATTACH_OK);
    EXPECT(pyattach_exit_callback_add(main, append, text("b")) == PYATTACH_OK);
    {
        attached here;
        run("import atexit; atexit._clear()");
    }
    cpython<int()>("PyGILState_Ensure")();
    EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    EXPECT(order.empty()); // CPython did not say in time that it ends
    EXPECT(pyattach_exit_callback_remove(main, append, text("a")) == PYATTACH_INVALID);
    pyattach_start_options options = start_options();
    EXPECT(pyattach_interpreter_start_with(&options) == PYATTACH_OK);
    pyattach_interpreter *next = pyattach_interpreter_main();
    EXPECT(pyattach_exit_callback_add(next, append, text("c")) == PYATTACH_OK);
    {
        attached here; // gives up what this thread kept of the life before, callbacks with it
        run("import atexit; atexit._clear()");
    }
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK); // no thread has to wake it
    EXPECT(order == "c");
}
TEST_CASE("after atexit._clear() a stop calls the exit callbacks, and Py_FinalizeEx does not, nor after a restart") {
    check_succeeds("exit callbacks, with atexit cleared");
}

// --- The order of Python's own atexit callbacks ---

namespace {

std::string seen;

// An atexit function that notes the status which another thread and this one get.
ref look_from_atexit(const char *when) {
    return native_function([when] {
        seen += when;
        pyattach_attached scope;
        seen += pyattach_attached_begin(&scope) == PYATTACH_OK ? " this:OK" : " this:refused";
        pyattach_attached_end(&scope);
        detached gap;
        pyattach_status other = run_on_thread([] {
            pyattach_attached late;
            pyattach_status status = pyattach_attached_begin(&late);
            if (status == PYATTACH_OK)
                pyattach_attached_end(&late);
            return status;
        });
        EXPECT(gap.end() == PYATTACH_OK);
        seen += " other:" + std::to_string(other) + ";";
    });
}

} // namespace

CHILD("atexit callbacks before and after ours") {
    load_python();
    messages said;
    plain::start();
    auto *run_string = cpython<int(const char *, void *)>("PyRun_SimpleStringFlags");
    EXPECT(run_string("import atexit, sys\n"
                      "class Early:\n    def __call__(self): self.look()\n"
                      "early = Early(); atexit.register(early)\n",
                      nullptr) == 0);
    {
        attached contact;
        publish("native_early", look_from_atexit("early"));
        publish("native_late", look_from_atexit("late"));
        run("early.look = native_early; atexit.register(native_late)");
    }
    EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    // atexit calls the last registered first, so the library's hook runs between the two. Up to 3.13 it calls those
    // that are older before it closes the gate.
    const bool is_late = python_version() >= 0x030e0000;
    EXPECT_SENTENCE(seen == (is_late ? "late this:OK other:0;early this:OK other:2;"
                                     : "late this:OK other:0;early this:OK other:0;"),
                    seen);
    EXPECT_SENTENCE((said.text().find("atexit callbacks that are older run now") != std::string::npos) == is_late,
                    said.text());
}
TEST_CASE(
    "atexit callbacks older than the library's find the gate open where they can run before it; elsewhere closed to "
    "other threads, which the message handler is told, and open to their own") {
    check_succeeds("atexit callbacks before and after ours");
}
