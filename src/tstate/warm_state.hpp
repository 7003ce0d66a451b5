// Warm tstate: the tstate that a native thread keeps between attaches, and what is done with it when the thread ends.
//
// A thread's end never waits for Python (invariant 7). So where there is a GIL the thread-exit hook does not delete the
// warm tstate, but puts its participant into the interpreter's list of orphaned participants, for the reaper
// (reaper.hpp). A free-threaded Python lets a thread attach at once, unless the world is stopped or has a GIL, so there
// the hook deletes it. It has to: what belongs to a tstate belongs to the ident of its thread, which any later thread
// may get, also one that this library does not know.
#pragma once

#include "core/thread.hpp"
#include "pyattach/warm_state.h"

namespace pyattach::warm_state {

// See pyattach_set_thread_policy.
void set_policy(pyattach_thread_policy wanted) noexcept;
// Whether a tstate that the calling thread makes now in this interpreter is kept after its scope has ended.
bool keeps_tstates(const interpreter &interp) noexcept;

// Retires a participant of an ending thread: leaves the gate, orphans the decref queue, and passes the participant on
// to the reaper or to another thread. Never attaches.
void hand_over(participant &self) noexcept;

// Free-threaded, on an ending thread without open scopes: destroys its warm tstates, in the same way as the reaper does
// it. Those that are left, hand_over passes on: the thread would have to wait, the interpreter ends, or other code has
// attached the thread. Runs Python code (destructors of thread-local data).
void destroy_at_end(thread &me) noexcept;

// The interpreter has ended, and CPython deletes its tstates with it: vacates the participants of ended threads.
void forget_orphaned(interpreter &interp) noexcept;

// See pyattach_thread_release: destroys the calling thread's warm tstates now.
status release() noexcept;

} // namespace pyattach::warm_state
