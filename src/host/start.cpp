// Start: starts the main interpreter.
#include "host/start.hpp"

#include "base/diagnostics.hpp"
#include "core/current.hpp"
#include "core/interpreter.hpp"
#include "core/thread.hpp"
#include "cpython/find.hpp"
#include "cpython/guarded.hpp"
#include "cpython/init.hpp"
#include "lifecycle/finalizing.hpp"
#include "lifecycle/registration.hpp"
#include "lifecycle/starting.hpp"
#include "scopes/attached.hpp"

namespace pyattach {
namespace {

// Between claim_start and end_start, while Python neither runs nor ends.
status initialize(const pyattach_start_options *options) noexcept {
    if (!cpython::start(options))
        return PYATTACH_NOT_INITIALIZED;
    main_thread_id.store(own_native_id(), std::memory_order_relaxed);
    if (thread *me = own_record())
        lookup_or_register(*me, cpython::python().current());
    cpython::save();
    return PYATTACH_OK;
}

bool is_ending() noexcept { return !cpython::python().is_initialized() && finalizing::is_under_way(); }

} // namespace

status start(const pyattach_start_options *options) noexcept {
    static refusal_site no_size, no_python, within_end;
    if (options && options->struct_size == 0)
        return refused(
            PYATTACH_INVALID, no_size,
            "pyattach_interpreter_start_with: struct_size is zero. It says how much of the options the caller "
            "knows. Set it to sizeof(pyattach_start_options).");
    if (this_thread.forbidden)
        return refuse_forbidden();
    if (status missing = cpython::find())
        return missing != PYATTACH_NO_PYTHON
                   ? missing
                   : refused(
                         missing, no_python,
                         "pyattach_interpreter_start: no Python is loaded in this process. Python is started by its "
                         "libpython. Load one first with pyattach_python_load, by its path, or with NULL the newest "
                         "that the dynamic linker finds.");
    // The second case is code that Python runs while this thread starts it, and that is inside a detached scope.
    if (current_tstate() || is_starter())
        return PYATTACH_OK;
    for (;;) {
        if (is_ending()) {
            if (finalizing::is_own())
                return refused(PYATTACH_FINALIZING, within_end,
                               "pyattach_interpreter_start: called by code that this thread runs while it ends Python. "
                               "Python is started again after its end. Return first.");
            finalizing::await();
        }
        // Calls the dynamic linker, so it comes before claim_start, from which on other threads wait for this one.
        // Where Python runs already, its host has decided whether its symbols are global.
        if (!cpython::python().is_initialized())
            cpython::make_global();
        claim_start();
        const bool was_running = cpython::python().is_initialized() != 0;
        // Checked again, because the end may have begun since. It does not begin while Python does not run.
        const bool must_wait = !was_running && is_ending();
        const status result = was_running || must_wait ? PYATTACH_OK : initialize(options);
        end_start();
        if (must_wait)
            continue;
        if (!was_running)
            return result;
        // Other code initialized Python, or is still initializing it. The first attach waits until Python is usable.
        attached_scope scope;
        const status attached = attached::begin(scope);
        if (attached == PYATTACH_OK)
            attached::end(scope);
        // Not initialized: Python has ended meanwhile, so start again.
        if (attached != PYATTACH_NOT_INITIALIZED)
            return attached;
    }
}

} // namespace pyattach
