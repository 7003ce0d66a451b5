// Forked: using Python in the child of pyattach_fork, or of a raw fork(), of which CPython was not notified.
#pragma once

#include "core/after_fork.hpp"
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

// The same for routed code, which CPython would let attach on any thread. If the surviving thread has not put Python in
// order, another thread takes Python as it is, and from then on it counts as in order: the functions of
// os.register_at_fork are not called, as they are not without this library. Waits while the surviving thread is at it.
void take_python_as_it_is_slow() noexcept;
inline void take_python_as_it_is() noexcept {
    if (is_python_out_of_order())
        take_python_as_it_is_slow();
}

// See fork.h.
status fork(long long *pid) noexcept;
status forked() noexcept;

} // namespace pyattach::forked
