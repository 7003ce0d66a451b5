// Finalizing: the main interpreter's end, from its beginning until Python may be started again.
//
// CPython reports "not initialized" long before its finalization has finished, and keeps its finalizing flag set
// afterwards. A thread that starts Python in between crashes. So this file records both ends of the interval:
//
//   begins   In stop(). If the host calls Py_FinalizeEx itself, in this library's exit hook; or, if that was discarded,
//            when CPython destroys the capsule in the interpreter's dict.
//   is over  When stop() returns. If the host calls Py_FinalizeEx itself, when CPython calls the function that was
//            passed to Py_AtExit, which happens when no interpreter is left.
//
// In the second case Py_FinalizeEx still has to execute its last few instructions. The library cannot detect a start
// that the host makes on another thread at that time.
#pragma once

#include "core/thread.hpp"

namespace pyattach::finalizing {

// Around stop().
void begin_stop() noexcept;
void end_stop() noexcept;
// Around an end by the host. Inside stop() neither changes the state. The first does nothing, either, if CPython will
// not call the second.
void begin_by_host() noexcept;
void end_by_host() noexcept;
// CPython will call end_by_host at the end of this Python runtime.
void expect_end() noexcept;

// Whether the calling thread finalizes the main interpreter.
bool is_own() noexcept;
// Whether any thread does, as far as the library can detect it.
bool is_under_way() noexcept;
// Waits until an end on another thread is over. Not attached.
void await() noexcept;

// In a fork child: forgets an end on a thread that is not in the child.
void forget() noexcept;

} // namespace pyattach::finalizing
