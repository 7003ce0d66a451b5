// What CPython does around a fork, and what a fork child finds out about CPython.
#include "cpython/fork.hpp"

#include <cerrno>

#include "cpython/exception.hpp"
#include "platform/process.hpp"

namespace pyattach::cpython {

long long fork(int &error) noexcept {
    const table &py = python();
    kept_error kept;
    guarded([&py] { py.before_fork(); });
    const long long pid = fork_process();
    error = pid < 0 ? errno : 0;
    guarded([&py, pid] { pid == 0 ? py.after_fork_in_child() : py.after_fork_in_parent(); });
    return pid;
}

void repair_after_fork() noexcept {
    const table &py = python();
    kept_error kept;
    guarded([&py] {
        py.before_fork();
        py.after_fork_in_child();
    });
}

bool has_sub_interpreters() noexcept {
    const table &py = python();
    interp_state *main = py.main_interpreter();
    return py.interpreter_head() != main || py.interpreter_next(main);
}

bool all_tstates(bool (*is_known)(const thread_state *tstate) noexcept) noexcept {
    const table &py = python();
    for (thread_state *tstate = py.tstate_head(py.main_interpreter()); tstate; tstate = py.tstate_next(tstate))
        if (!is_known(tstate))
            return false;
    return true;
}

} // namespace pyattach::cpython
