// PyGILState_GetThisThreadState() must return the tstate with which the library attached the thread. Otherwise
// PyGILState_Ensure there would make a second tstate, and wait for the GIL that its own thread holds.
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
