// Forked: processes that go on with Python in the child, by pyattach_fork, or after a raw fork().
#pragma once

#include "core/thread.hpp"

namespace pyattach::forked {

// In the child of a raw fork(), before a scope begins that may attach. OK: it may go on; else UNSUPPORTED, and the
// message handler is told why. Puts Python in order if it is this thread's to do. May attach and run Python code.
status repair_python() noexcept;
// The same on the surviving thread, alone, which has just come back from a detached scope: attached.
void repair_python_attached() noexcept;

// See fork.h.
status fork(long long *pid) noexcept;
status forked() noexcept;

} // namespace pyattach::forked
