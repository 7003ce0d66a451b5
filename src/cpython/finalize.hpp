// What Py_FinalizeEx does before it can no longer be left, done by hand; and what is to be known before. Attached.
#pragma once

namespace pyattach::cpython {

// What Py_FinalizeEx does first, in its order: joins Python's own threads, and calls the atexit callbacks; it finds
// that done later. False: nothing was done, as `atexit` is not as known. Runs Python code.
bool run_exit_functions() noexcept;
// Exit callbacks run already, or are about to: one that is registered now never runs. Runs Python code; leaves no
// exception.
bool is_exit_under_way() noexcept;
// A Python function called this thread here.
bool is_below_python() noexcept;
// Free-threaded: has all other threads stop for a moment, which waits for each that is attached in native code.
void stop_others_once() noexcept;

} // namespace pyattach::cpython
