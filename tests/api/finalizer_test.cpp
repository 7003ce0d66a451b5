// Objects whose end calls a C function.
#include <thread>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/pending_exception.hpp"
#include "support/python.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"

using namespace support;

namespace {

int calls;
bool was_attached;
void *was_passed;
void note(void *arg) {
    ++calls;
    was_attached = cpython_says_attached();
    was_passed = arg;
}

ref finalizer(void *arg) {
    object *made = nullptr;
    EXPECT(pyattach_from_finalizer(note, arg, &made) == PYATTACH_OK);
    calls = 0;
    return ref(made);
}

} // namespace

TEST_CASE("a finalizer is called once, attached, with its argument, when the last reference is released") {
    start_python();
    int here_we_are = 0;
    attached here;
    ref first = finalizer(&here_we_are);
    REQUIRE(pyattach_incref(first) == PYATTACH_OK);
    ref second(first.get());
    first.drop();
    CHECK(calls == 0);
    second.drop();
    CHECK(calls == 1);
    CHECK(was_attached);
    CHECK(was_passed == &here_we_are);
    CHECK_FALSE(finalizer(nullptr).get() == nullptr);
    CHECK(calls == 1);
    CHECK(was_passed == nullptr);
}

TEST_CASE("a finalizer whose object was released on a detached thread is called by the next attach") {
    start_python();
    ref made;
    {
        attached here;
        made = finalizer(nullptr);
    }
    run_on_thread([&] { made.drop(); });
    CHECK(calls == 0);
    attached here;
    CHECK(calls == 1);
    CHECK(was_attached);
}

TEST_CASE("making a finalizer keeps the pending exception") {
    start_python();
    attached here;
    REQUIRE(pyattach_run("raise KeyError('kept')", nullptr, nullptr) == PYATTACH_PYTHON_ERROR);
    finalizer(nullptr).drop();
    char message[40];
    pyattach_error_message(message, sizeof message);
    CHECK(std::string(message) == "KeyError: 'kept'");
    pyattach_error_clear();
}

CHILD("releases a finalizer after the end of Python") {
    start_python();
    ref made;
    {
        attached here;
        made = finalizer(nullptr);
    }
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    const auto leaked = all_counters().drops_leaked;
    made.drop();
    EXPECT(calls == 0);
    EXPECT(all_counters().drops_leaked == leaked + 1);
}
TEST_CASE("a finalizer whose interpreter has ended is not called, and its reference is counted as leaked") {
    check_succeeds("releases a finalizer after the end of Python");
}
