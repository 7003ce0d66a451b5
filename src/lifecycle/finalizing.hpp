// Finalizing: the main interpreter's end, from its beginning to the moment from which Python may be started again.
//
// CPython says "not initialised" long before it has done with its end, and its flag stays up afterwards; whoever starts
// it in between crashes it. So the end leaves marks here:
//
//   begins   stop(), or, where the host calls Py_FinalizeEx itself, the atexit callback of this library; if that was
//            thrown away, the capsule's end
//   is over  stop() returns; or CPython calls what was given to Py_AtExit, which comes when no interpreter is left
//
// After the second kind Py_FinalizeEx still has its last few instructions before it: what a host races with itself
// there cannot be known here.
#pragma once

#include "core/thread.hpp"

namespace pyattach::finalizing {

void begin_stop() noexcept;
void end_stop() noexcept;
// Nothing inside a stop, and nothing where CPython would not say when it is over.
void begin_by_host() noexcept;
void end_by_host() noexcept;
// CPython will call end_by_host in this life.
void expect_end() noexcept;

// By this thread.
bool is_own() noexcept;
// By any thread, as far as is known.
bool is_under_way() noexcept;
// Until the end is over that another thread is at; not attached.
void await() noexcept;

// In a fork child: the thread that was at it is not there.
void forget() noexcept;

} // namespace pyattach::finalizing
