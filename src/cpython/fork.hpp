// What CPython does around a fork, and what a fork child finds out about CPython.
#pragma once

#include "cpython/table.hpp"

namespace pyattach::cpython {

// Forks as os.fork() does. The thread is attached to the main interpreter, and so are both processes afterwards. Runs
// Python code. Negative: there is no child, and `error` is errno's value.
long long fork(int &error) noexcept;
// In the child of a fork of which CPython was not notified: does what CPython would have done before and after the
// fork. The thread is attached, and no other thread has been attached in the child. Runs Python code.
void repair_after_fork() noexcept;
// Takes no lock of CPython's, so a fork child may call it.
bool has_sub_interpreters() noexcept;
// Whether `is_known` is true of each tstate of the main interpreter. In a fork child alone.
bool all_tstates(bool (*is_known)(const thread_state *tstate) noexcept) noexcept;

} // namespace pyattach::cpython
