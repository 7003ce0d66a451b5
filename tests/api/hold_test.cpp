// Holds, as far as they do not need the end of an interpreter.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

TEST_CASE("a hold begins and ends in any state of the thread") {
    start_python();
    pyattach_hold hold;
    CHECK(pyattach_hold_begin(&hold, nullptr, "detached") == PYATTACH_OK);
    CHECK(pyattach_is_attached() == 0);
    pyattach_hold_end(&hold);
    pyattach_interpreter *main = pyattach_interpreter_main();
    {
        attached here;
        CHECK(pyattach_hold_begin(&hold, main, nullptr) == PYATTACH_OK);
        detached gap;
        pyattach_hold_end(&hold);
    }
    {
        attached here;
        forbidden traversing;
        CHECK(pyattach_hold_begin(&hold, main, "forbidden") == PYATTACH_OK);
        pyattach_hold_end(&hold);
    }
    CHECK(try_to_attach() == PYATTACH_OK);
}

TEST_CASE("a hold ends on another thread than the one that began it, in any order with others") {
    start_python();
    pyattach_hold holds[3];
    run_on_thread([&] {
        for (pyattach_hold &hold : holds)
            EXPECT(pyattach_hold_begin(&hold, nullptr, "job") == PYATTACH_OK);
    });
    pyattach_hold_end(&holds[1]);
    run_on_thread([&] { pyattach_hold_end(&holds[0]); });
    CHECK(pyattach_hold_begin(&holds[1], nullptr, "again") == PYATTACH_OK); // the storage may be used again
    pyattach_hold_end(&holds[2]);
    pyattach_hold_end(&holds[1]);
}

TEST_CASE("a hold in no storage is refused, and its end is ignored") {
    start_python();
    CHECK(pyattach_hold_begin(nullptr, nullptr, "label") == PYATTACH_INVALID);
    pyattach_hold_end(nullptr);
}

TEST_CASE("an interpreter that runs is not ending") {
    start_python();
    CHECK(pyattach_interpreter_is_ending(nullptr) == 0);
    CHECK(pyattach_interpreter_is_ending(pyattach_interpreter_main()) == 0);
}
