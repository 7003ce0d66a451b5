// Forked: using Python in the child of pyattach_fork, or of a raw fork(), of which CPython was not notified.
#pragma once

#include "core/thread.hpp"

namespace pyattach::forked {

// In the child of a raw fork(), before a scope that may attach begins. The surviving thread, which is the one that
// called fork(), puts Python in order if no other thread was inside Python at the fork. May attach, and may run Python
// code.
//   PYATTACH_OK: the scope may begin.
//   PYATTACH_UNSUPPORTED, or a status of attached::begin: it may not, and the message handler has been called.
status repair_python() noexcept;
// The same at the end of a detached scope, on the attached thread. On another thread than the surviving one it does
// nothing.
void repair_python_attached() noexcept;

// See fork.h.
status fork(long long *pid) noexcept;
status forked() noexcept;

} // namespace pyattach::forked
