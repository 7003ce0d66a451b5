// Forked: processes that go on with Python in the child.
//
// In the child of a raw fork() Python is as the fork found it: its locks, the GIL among them, may be held by threads
// that are not there. Where no other thread was inside, none are, and what Python does around a fork can be made up for
// afterwards: its preparation and its after-fork, one after the other, in the child. The preparation takes the import
// lock and what hooks of os.register_at_fork take, which the after-fork gives back.
#include "scopes/forked.hpp"

#include <cerrno>

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "cpython/find.hpp"
#include "cpython/fork.hpp"
#include "lifecycle/fork.hpp"
#include "scopes/attached.hpp"

namespace pyattach::forked {
namespace {

bool is_survivor() noexcept { return surviving_thread.load(std::memory_order_relaxed) == &this_thread; }

after_fork state_after_fork() noexcept { return python_after_fork.load(std::memory_order_relaxed); }

// Attached. No drain: destructors that wait in the pool are for a Python in order.
void run_after_fork() noexcept {
    no_drain_scope no_drain;
    python_after_fork.store(after_fork::repairing, std::memory_order_relaxed);
    cpython::order_after_fork();
    order_restored(); // by a hook of Python's already, if that could be called
}

status attach_and_run_after_fork() noexcept {
    no_drain_scope no_drain;
    python_after_fork.store(after_fork::repairing, std::memory_order_relaxed);
    attached_scope scope;
    if (status why = attached::begin(scope)) {
        python_after_fork.store(after_fork::repairable, std::memory_order_relaxed); // it may be tried again
        return why;
    }
    run_after_fork();
    attached::end(scope);
    return PYATTACH_OK;
}

status repair_as_survivor() noexcept {
    static refusal_site site;
    if (!is_survivor())
        return refused(
            PYATTACH_UNSUPPORTED, site,
            "attaching is refused: this process was made by fork() without Python being told, and the thread "
            "that forked has not put Python in order yet. It has to be the first to attach. Call "
            "pyattach_forked() on it before other threads use Python.");
    if (!current_tstate())
        return attach_and_run_after_fork();
    run_after_fork();
    return PYATTACH_OK;
}

} // namespace

status repair_python() noexcept {
    switch (state_after_fork()) {
    case after_fork::in_order:
    case after_fork::repairing:
    case after_fork::announced: // a nested scope changes nothing; any other is refused on its way in
        return PYATTACH_OK;
    case after_fork::repairable:
        return repair_as_survivor();
    case after_fork::stranded:
        break;
    }
    return refused_after_fork();
}

void repair_python_attached() noexcept {
    if (state_after_fork() == after_fork::repairable && is_survivor())
        run_after_fork();
}

status forked() noexcept {
    static refusal_site not_running;
    if (this_thread.forbidden)
        return refuse_forbidden();
    if (status missing = cpython::find())
        return missing;
    if (!cpython::python().is_initialized())
        return refused(PYATTACH_NOT_INITIALIZED, not_running,
                       "pyattach_forked: Python does not run, so there is nothing to put in order. It is called in the "
                       "child of a process in which Python ran. Start Python in the child instead.");
    return state_after_fork() == after_fork::announced ? refused_after_fork() : repair_python();
}

status fork(long long *pid) noexcept {
    if (!pid)
        return PYATTACH_INVALID;
    attached_scope scope;
    if (status why = attached::begin(scope))
        return why;
    status outcome = PYATTACH_OK;
    int error = 0;
    if (is_raw_fork()) {
        outcome = refused_after_fork();
    } else if (cpython::python().is_finalizing()) {
        outcome = PYATTACH_FINALIZING;
    } else if (cpython::has_sub_interpreters()) {
        static refusal_site site;
        outcome =
            refused(PYATTACH_UNSUPPORTED, site,
                    "pyattach_fork is refused: there are sub-interpreters, which CPython does not survive in a fork "
                    "child. End them first, or fork before they begin.");
    } else {
        *pid = cpython::fork(error);
        outcome = *pid < 0 ? PYATTACH_NO_MEMORY : PYATTACH_OK;
    }
    attached::end(scope);
    if (error)
        errno = error;
    return outcome;
}

} // namespace pyattach::forked
