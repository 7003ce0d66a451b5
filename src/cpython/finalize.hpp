// The first steps of Py_FinalizeEx, which can still be left, and what a caller checks before them. Each function needs
// an attached thread.
#pragma once

#include "cpython/table.hpp"

namespace pyattach::cpython {

// Does what Py_FinalizeEx does first, in its order: joins Python's own threads, and calls the atexit callbacks.
// Py_FinalizeEx finds both done later. False: nothing was done, because the module `atexit` or its function
// _run_exitfuncs is missing. Runs Python code.
bool run_exit_functions() noexcept;
// Called by the exit hook of this interpreter: calls the atexit callbacks that were registered before the hook, which
// CPython finds done later. Does nothing where the callbacks cannot be called early. Runs Python code; CPython reports
// exceptions as usual.
void run_older_exit_functions(interp_state *interp) noexcept;
// Whether exit callbacks run already, or are about to: one that is registered now never runs. Runs Python code; leaves
// no exception.
bool is_exit_under_way() noexcept;
// Whether a Python function is on the calling thread's stack.
bool is_below_python() noexcept;
// Free-threaded: stops all other threads for a moment, which waits for each that is attached in native code.
void stop_others_once() noexcept;

} // namespace pyattach::cpython
