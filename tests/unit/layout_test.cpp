// CPython's own words for "attached" and "an exception is pending", read without a call.
#include "cpython_layout.hpp"
#include "interpreter.hpp"

#include "api/pending_error.hpp"
#include "api/thread_states.hpp"
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;
namespace cpython = pyattach::cpython;

namespace {

bool is_known_version() { return !is_debug_build() && python_version() < 0x03100000; }

cpython::thread_state *own_state() { return cpython::python().current(); }

// Twice attached, so warm the second time.
void come_and_go() {
    for (int i = 0; i < 3; ++i) {
        attached here, again;
        ref one = new_object(), other = new_object();
        CHECK(cpython_says_attached());
        {
            detached gap;
            CHECK(!cpython_says_attached());
            one.drop();
        }
        CHECK(cpython_says_attached());
        other.drop();
    }
    CHECK(!cpython_says_attached());
}

} // namespace

TEST_CASE("the places of every known version are found, and say what CPython says") {
    start_python();
    run_on_thread([] {
        attached here;
        REQUIRE(cpython::is_layout_trusted() == is_known_version());
        if (!is_known_version())
            return;
        cpython::thread_state *mine = own_state();
        CHECK(cpython::is_attached(mine));
        CHECK(cpython::current(cpython::python()) == mine);
        {
            foreign_detach gap;
            CHECK(!cpython::is_attached(mine));
        }
        CHECK(cpython::is_attached(mine));
        CHECK(!cpython::has_exception(mine));
        pyattach::object *none = nullptr;
        CHECK(pyattach_eval("1 / 0", nullptr, nullptr, &none) == PYATTACH_PYTHON_ERROR);
        CHECK(cpython::has_exception(mine));
        CHECK(take_error() == "ZeroDivisionError: division by zero");
        CHECK(!cpython::has_exception(mine));
    });
}

TEST_CASE("places that do not answer as CPython does are not trusted") {
    start_python();
    attached here;
    unsigned minor = python_version() >> 16;
    bool has_runtime = cpython::python().runtime;
    for (uint16_t wrong : {0, 8, 16, 200}) { // links, the interpreter, something else
        CHECK(!cpython::are_answers_at({minor, 24, wrong, 0}));
        CHECK(!cpython::are_answers_at({minor, wrong, 96, 0}));
        CHECK((!has_runtime || !cpython::are_answers_at({minor, 0, 88, wrong})));
    }
    CHECK(cpython_says_attached());
    CHECK(take_error() == "no exception");
}

TEST_CASE("a Python whose places are not known is asked by calls") {
    start_python();
    run_on_thread(come_and_go); // as a rule
    const auto exception = cpython::trusted.exception_at.load();
    const auto active = cpython::trusted.active_at.load();
    auto *const current = cpython::trusted.current_at.load();
    cpython::trusted.exception_at = 0;
    cpython::trusted.active_at = 0;
    cpython::trusted.current_at = nullptr;
    run_on_thread(come_and_go);
    cpython::trusted.current_at = current;
    cpython::trusted.active_at = active;
    cpython::trusted.exception_at = exception;
    run_on_thread(come_and_go);
}
