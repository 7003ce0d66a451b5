// Own tstate: what routed code learns of its thread's tstate, makes, and deletes.
#pragma once

#include "core/thread.hpp"

namespace pyattach::gilstate {

// See gilstate.h.
thread_state *this_tstate() noexcept;
thread_state *new_tstate(cpython::interp_state *interp, const void *caller);
void delete_current(const void *caller) noexcept;
void register_soon() noexcept;

} // namespace pyattach::gilstate
