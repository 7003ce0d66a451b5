// Threads that end while Python has a GIL, on a free-threaded Python, too: their end does not wait for it.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/housekeeping.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"

using namespace support;

namespace {

void use_thread_state() { attached here; }

} // namespace

CHILD("an attached thread joins others while there is a GIL") {
    start_python();
    attached here;
    EXPECT(eval_int("getattr(__import__('sys'), '_is_gil_enabled', lambda: True)()") == 1);
    for (int i = 0; i < 20; ++i) {
        latch used("the thread to use Python"), may_end("permission to end");
        task thread("a thread that ends while its joiner keeps the GIL", [&] {
            use_thread_state();
            used.count_down();
            may_end.wait();
        });
        {
            detached gap;
            used.wait();
        }
        may_end.count_down();
        thread.join();
    }
    EXPECT(eval_int("1") == 1);
}
CHILD("an attached thread ends housekeeping while there is a GIL") {
    start_python();
    for (int i = 0; i < 20; ++i) {
        housekeeping on(0);
        run_on_thread(use_thread_state);
        while (!housekeeping_thread() && keeps_tstates())
            sched_yield();
        attached here;
        pyattach_set_housekeeping(PYATTACH_HOUSEKEEPING_OFF);
        pyattach_set_housekeeping(PYATTACH_HOUSEKEEPING_AUTO);
        pyattach_decref(new_object().release());
    }
}
TEST_CASE("the end of a thread does not wait for a GIL") {
    load_python();
    for (const char *name : {"an attached thread joins others while there is a GIL",
                             "an attached thread ends housekeeping while there is a GIL"})
        check_succeeds(name, {{}, {{"PYTHON_GIL", is_free_threaded() ? "1" : ""}}});
}
