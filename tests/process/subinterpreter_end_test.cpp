// Sub-interpreters that have ended stay closed, and no warm thread keeps one from ending.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"

#include <memory>
#include <vector>

#include "support/tstate_counts.hpp"
#include "process/interpreter_kinds.hpp"

using namespace support;

CHILD("an ended sub-interpreter and its successor") {
    start_python();
    std::vector<pyattach_interpreter *> handles;
    ref old;
    pyattach_interpreter *whose_old = nullptr;
    latch may_end("permission to end");
    barrier turn("both threads to take their turn", 2);
    pyattach_interpreter *current = nullptr;
    bool is_over = false;
    task thread("the native thread to end", [&] {
        for (;;) {
            turn.arrive_and_wait();
            if (is_over)
                return;
            for (pyattach_interpreter *earlier : handles)
                EXPECT((earlier == current) == (try_to_attach_in(earlier) == PYATTACH_OK));
            pyattach_decref_in(whose_old, old.release()); // of the life before: leaked
            attached there(current);
            EXPECT(pyattach_pool_size() == 0);
            old = new_object();
            may_leak(old);
            whose_old = current;
            there.end();
            turn.arrive_and_wait();
        }
    });
    for (int i = 0; i < 12; ++i) {
        attached here;
        sub_interpreter sub(kind_asked_for());
        current = sub.handle();
        for (pyattach_interpreter *earlier : handles)
            EXPECT(earlier != current);
        handles.push_back(current);
        detached gap;
        turn.arrive_and_wait();
        turn.arrive_and_wait();
        gap.end();
        sub.end();
        EXPECT(try_to_attach_in(current) == PYATTACH_FINALIZING);
        EXPECT(pyattach_exit_callback_add(
                   current, [](pyattach_interpreter *, void *) {}, nullptr) == PYATTACH_FINALIZING);
        EXPECT(pyattach_exit_callback_remove(
                   current, [](pyattach_interpreter *, void *) {}, nullptr) == PYATTACH_INVALID);
    }
    is_over = true;
    turn.arrive_and_wait();
    thread.join();
    old.release();
    EXPECT(all_counters().drops_leaked == 11);
    EXPECT(!stop_python());
    for (pyattach_interpreter *interp : handles)
        EXPECT(try_to_attach_in(interp) == PYATTACH_FINALIZING);
}
TEST_CASE("each generation of a sub-interpreter has a handle of its own, and an ended one is refused for ever") {
    check_each_kind("an ended sub-interpreter and its successor");
}

CHILD("a sub-interpreter ends around a thread in a gap") {
    start_python();
    static pyattach_interpreter *interp = nullptr;
    static latch in_gap("the thread to be in its gap"), may_leave("the exit callback");
    static int callbacks = 0;
    std::unique_ptr<task> sitter;
    {
        attached here;
        sub_interpreter sub(kind_asked_for());
        interp = sub.handle();
        auto callback = [](pyattach_interpreter *ending, void *) {
            EXPECT(ending == interp);
            // The gate is closed: a new thread is refused, and a thread inside may re-attach and leave.
            run_on_thread([] { EXPECT(try_to_attach_in(interp) == PYATTACH_FINALIZING); });
            ++callbacks;
            may_leave.count_down();
        };
        EXPECT(pyattach_exit_callback_add(interp, callback, nullptr) == PYATTACH_OK);
        sitter = std::make_unique<task>("the sitting thread to leave", [] {
            attached there(interp);
            detached gap;
            in_gap.count_down();
            may_leave.wait();
            EXPECT(gap.end() == PYATTACH_OK);
            EXPECT(eval_int("6 * 7") == 42);
        });
        {
            detached gap;
            in_gap.wait();
        }
        sub.end();
    }
    EXPECT(callbacks == 1);
    sitter->join();
    EXPECT(all_counters().exit_timeouts == 0);
    EXPECT(!stop_python());
}
TEST_CASE("Py_EndInterpreter closes the gate, runs the exit callbacks, and waits for the threads inside") {
    check_each_kind("a sub-interpreter ends around a thread in a gap");
}

CHILD("warm threads and a sub-interpreter") {
    start_python();
    barrier visited("all threads to have visited", 5), ended("the interpreter to have ended", 5);
    pyattach_interpreter *interp = nullptr;
    {
        attached here;
        sub_interpreter sub(kind_asked_for());
        interp = sub.handle();
        std::vector<std::unique_ptr<task>> tasks;
        for (int i = 0; i < 4; ++i)
            tasks.push_back(std::make_unique<task>("a warm thread to end", [&] {
                { attached home; }
                // Up to 3.13 a state that is left makes CPython abort when the interpreter ends.
                for (int round = 0; round < 3; ++round)
                    attached there(interp);
                visited.arrive_and_wait();
                ended.arrive_and_wait();
                EXPECT(try_to_attach_in(interp) == PYATTACH_FINALIZING);
                EXPECT(pyattach_thread_release() == PYATTACH_OK); // touches nothing of the ended one
                attached home;
                EXPECT(eval_int("1") == 1);
            }));
        detached gap;
        visited.arrive_and_wait();
        gap.end();
        sub.end();
        detached again;
        ended.arrive_and_wait();
        for (auto &each : tasks)
            each->join();
    }
    EXPECT(!stop_python());
}
TEST_CASE("threads with warm tstates do not keep a sub-interpreter from ending") {
    check_each_kind("warm threads and a sub-interpreter");
}
