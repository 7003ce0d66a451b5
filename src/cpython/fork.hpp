// What CPython does around a fork, and what of this library's dealings with it a fork must not find half done.
#pragma once

#include "cpython/cpython.hpp"

namespace pyattach::cpython {

// The guards and new thread states of cpython_guard.cpp, held and restarted as internal_lock.hpp has it.
void hold_guards() noexcept;
void let_guards_go() noexcept;
void restart_guards() noexcept;
void hold_tstates() noexcept;
void let_tstates_go() noexcept;
void restart_tstates() noexcept;

// As os.fork(), with what CPython does around it. Attached to the main interpreter, and so are both processes
// afterwards; runs Python code. Negative: there is no child, and `error` is errno's.
long long fork(int &error) noexcept;
// In the child of a fork that CPython was not told of: what it would have done before and after. Attached, as the only
// thread that ever was; runs Python code.
void order_after_fork() noexcept;
// Takes no lock of CPython's, and so may be asked in a fork child.
bool has_sub_interpreters() noexcept;
// Whether all thread states of the main interpreter are known to the caller. In a fork child alone.
bool all_tstates(bool (*is_known)(const thread_state *tstate) noexcept) noexcept;

} // namespace pyattach::cpython
