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

after_fork now() noexcept { return python_after_fork.load(std::memory_order_relaxed); }

// Attached. No drain: destructors that wait in the pool are for a Python in order.
void put_in_order() noexcept {
    no_drain_scope no_drain;
    python_after_fork.store(after_fork::ordering, std::memory_order_relaxed);
    cpython::repair_after_fork();
    on_after_fork_in_child(); // by a hook of Python's already, if that could be called
}

status put_in_order_from_outside() noexcept {
    no_drain_scope no_drain;
    python_after_fork.store(after_fork::ordering, std::memory_order_relaxed);
    attached_scope scope;
    if (status why = attached::begin(scope)) {
        python_after_fork.store(after_fork::alone, std::memory_order_relaxed); // it may be tried again
        return why;
    }
    put_in_order();
    attached::end(scope);
    return PYATTACH_OK;
}

status order_alone() noexcept {
    static refusal_site site;
    if (!is_survivor())
        return refused(
            PYATTACH_UNSUPPORTED, site,
            "attaching is refused: this process was made by fork() without Python being told, and the thread "
            "that forked has not put Python in order yet. It has to be the first to attach. Call "
            "pyattach_forked() on it before other threads use Python.");
    if (!current_tstate())
        return put_in_order_from_outside();
    put_in_order();
    return PYATTACH_OK;
}

} // namespace

status ensure_usable() noexcept {
    switch (now()) {
    case after_fork::in_order:
    case after_fork::ordering:
    case after_fork::announced: // a nested scope changes nothing; any other is refused on its way in
        return PYATTACH_OK;
    case after_fork::alone:
        return order_alone();
    case after_fork::crowded:
        break;
    }
    return refused_after_fork();
}

void ensure_usable_attached() noexcept {
    if (now() == after_fork::alone && is_survivor())
        put_in_order();
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
    return now() == after_fork::announced ? refused_after_fork() : ensure_usable();
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
