// Holds and forks: in a child no hold of the parent counts.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/fork.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

namespace {

latch exit_began("the exit to begin");

} // namespace

CHILD("fork hold: of the parent") {
    start_python();
    pyattach_set_exit_timeout(-1);
    pyattach_hold of_parent, of_other_thread;
    EXPECT(pyattach_hold_begin(&of_parent, nullptr, "parent") == PYATTACH_OK);
    run_on_thread([&] { EXPECT(pyattach_hold_begin(&of_other_thread, nullptr, "other") == PYATTACH_OK); });
    {
        attached here;
        fork_in_python([&] {
            pyattach_hold own;
            EXPECT(pyattach_hold_begin(&own, nullptr, "child") == PYATTACH_OK);
            pyattach_hold_end(&of_other_thread);
            EXPECT(pyattach_hold_begin(&of_other_thread, nullptr, "child") == PYATTACH_OK); // the storage is free
            pyattach_hold_end(&own);
            pyattach_hold_end(&of_other_thread);
            EXPECT(cpython<int()>("Py_FinalizeEx")() == 0); // would wait for the other one for ever
            pyattach_hold_end(&of_parent);
        });
        fork_plainly([&] { pyattach_hold_end(&of_other_thread); });
    }
    pyattach_hold_end(&of_parent);
    pyattach_hold_end(&of_other_thread);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
}
TEST_CASE("a fork child neither waits for its parent's holds nor ends them there") {
    check_succeeds("fork hold: of the parent");
}

CHILD("fork hold: while the parent's end is held") {
    start_python();
    pyattach_set_exit_timeout(-1);
    auto call = [](pyattach_interpreter *, void *) { exit_began.count_down(); };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), call, nullptr) == PYATTACH_OK);
    pyattach_hold hold;
    EXPECT(pyattach_hold_begin(&hold, nullptr, "parent") == PYATTACH_OK);
    task forker("the thread that forks", [&] {
        exit_began.wait();
        {
            attached here;
            EXPECT(pyattach_interpreter_is_ending(nullptr) == 1);
            fork_in_python([&] {
                EXPECT(pyattach_interpreter_is_ending(nullptr) == 0); // the end is the parent's
                pyattach_hold own;
                EXPECT(pyattach_hold_begin(&own, nullptr, "child") == PYATTACH_OK);
                pyattach_hold_end(&own);
            });
        }
        pyattach_hold_end(&hold);
    });
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    forker.join();
}
TEST_CASE("in a child that is forked while a hold delays its parent's end, no end has begun") {
    check_succeeds("fork hold: while the parent's end is held");
}
