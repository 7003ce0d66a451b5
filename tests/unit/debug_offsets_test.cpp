// CPython's table for debuggers.
#include "cpython/debug_offsets.hpp"

#include "core/interpreter.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"

using namespace support;
namespace cpython = pyattach::cpython;

namespace {

// CPython's own answer, in the interpreter to which the thread is attached.
void expect_answer_of_cpython() {
    const bool has_gil = eval_int("getattr(__import__('sys'), '_is_gil_enabled', lambda: True)()") == 1;
    const cpython::interp_state *here = cpython::python().interp_of(cpython::python().current());
    EXPECT(cpython::is_gil_enabled(here, !has_gil) == has_gil);
}

} // namespace

CHILD("whether there is a GIL") {
    start_python();
    attached here;
    expect_answer_of_cpython();
    if (!sees_switches())
        return;
    sub_interpreter other;
    other.inside([] { expect_answer_of_cpython(); });
}
TEST_CASE("whether there is a GIL is answered as CPython answers it") {
    load_python();
    for (const char *wanted : {"", "0", "1"})
        if (is_free_threaded() || !*wanted)
            check_succeeds("whether there is a GIL", {{}, {{"PYTHON_GIL", wanted}}});
}
