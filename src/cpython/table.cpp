// The published table, and the one in use until a Python is found.
#include "cpython/table.hpp"

#include "cpython/find.hpp"

namespace pyattach::cpython {
namespace {

// `current` of no_python_table: searches for a Python, so that already the first question gets the true answer.
thread_state *find_and_read_current() noexcept {
    if (find() != PYATTACH_OK)
        return nullptr;
    const table &py = python();
    thread_state *tstate = py.current();
    return py.current_is_own || tstate == py.gilstate_tstate() ? tstate : nullptr;
}

constexpr table make_no_python_table() noexcept {
    table result = {};
    result.current = find_and_read_current;
    result.current_is_own = true;
    return result;
}

} // namespace

const table no_python_table = make_no_python_table();
std::atomic<const table *> published{&no_python_table};

} // namespace pyattach::cpython
