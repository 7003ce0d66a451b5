// Warm: the thread state a native thread keeps between attaches, and what becomes of it when the thread ends.
//
// A thread's exit never blocks on Python (invariant 7): its exit hook hands the participant with the warm state to the
// interpreter's list of dead states; see reap_batch.hpp.
#pragma once

#include "core/thread.hpp"
#include "pyattach/warm_state.h"

namespace pyattach::warm_state {

void set_policy(pyattach_thread_policy) noexcept;
// Whether a state that this thread makes there now outlives its scope.
bool is_kept(const interpreter &interp) noexcept;

// Takes the participant from an ending thread. No Python.
void hand_over(participant &) noexcept;

// The interpreter is dead, and its states with it.
void forget_orphaned(interpreter &interp) noexcept;

// Destroys this thread's warm states now.
status release() noexcept;

} // namespace pyattach::warm_state
