// What PyGILState_GetThisThreadState() answers on a thread of the library's: the state that the thread is attached
// with, or code that calls PyGILState_Ensure there makes a second one, and waits for the GIL that its own thread holds.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"

using namespace support;

namespace {

void expect_found_by_other_code() {
    EXPECT(gilstate_tstate() == current_tstate());
    foreign_attach other_code;
    EXPECT(eval_int("6 * 7") == 42);
}

} // namespace

TEST_CASE("a thread whose first tstate was a sub-interpreter's is found by PyGILState_* in the main one") {
    start_python();
    attached here;
    sub_interpreter sub;
    pyattach_interpreter *there = sub.handle();
    {
        detached gap;
        run_on_thread([there] {
            {
                attached first(there);
                detached inner_gap;
                attached home; // the state that the thread keeps is made here
            }
            for (int i = 0; i < 3; ++i) { // the long way in, and the short one
                attached home;
                expect_found_by_other_code();
                detached inner_gap;
                attached again;
                expect_found_by_other_code();
            }
        });
    }
    sub.end();
}
