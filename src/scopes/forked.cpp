// Forked: using Python in the child of a fork.
//
// CPython is not notified of a raw fork(). In the child its locks, the GIL among them, may be held by threads of the
// parent that are not in the child. If no other thread was inside Python at the fork, none are. Then the surviving
// thread calls both what CPython does before a fork and what it does after one, in the child. The first acquires the
// import lock and the locks of os.register_at_fork hooks, and the second releases them.
#include "scopes/forked.hpp"

#include <cerrno>

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "cpython/find.hpp"
#include "cpython/fork.hpp"
#include "lifecycle/fork.hpp"
#include "platform/uncancelled.hpp"
#include "scopes/attached.hpp"

namespace pyattach::forked {
namespace {

// How often a thread looks whether the surviving one has put Python in order, which takes about a millisecond.
constexpr int64_t repair_poll_ns = 200000;

bool is_survivor() noexcept { return surviving_thread.load(std::memory_order_relaxed) == &this_thread; }

after_fork state_after_fork() noexcept { return python_after_fork.load(std::memory_order_relaxed); }

// Attached. Drains are disabled, because destructors need a Python that is in order.
void run_after_fork() noexcept {
    no_drain_scope no_drain;
    python_after_fork.store(after_fork::repairing, std::memory_order_relaxed);
    cpython::repair_after_fork();
    on_after_fork_in_child(); // a fork hook in Python has called this before, unless CPython could not call the hook
}

status attach_and_run_after_fork() noexcept {
    no_drain_scope no_drain;
    python_after_fork.store(after_fork::repairing, std::memory_order_relaxed);
    attached_scope scope;
    if (status why = attached::begin(scope)) {
        python_after_fork.store(after_fork::repairable, std::memory_order_relaxed); // another attach tries again
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
    case after_fork::announced: // a nested scope may begin; attach_to and attach_first refuse any other
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

void take_python_as_it_is_slow() noexcept {
    if (is_survivor())
        return;
    // No thread of the parent's was inside Python, so none holds a lock of CPython's.
    after_fork expected = after_fork::repairable;
    while (!python_after_fork.compare_exchange_weak(expected, after_fork::in_order, std::memory_order_relaxed)) {
        if (expected != after_fork::repairable && expected != after_fork::repairing)
            return;
        if (expected == after_fork::repairing)
            sleep_uncancelled(repair_poll_ns);
        expected = after_fork::repairable;
    }
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
    if (is_python_out_of_order()) {
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
