// Misrouted: calls of routed code that cannot be served. Each aborts with sentences that name the module of the call,
// as far as its address tells it.
#pragma once

#include "gilstate/entry.hpp"

namespace pyattach::gilstate {

// The thread has `most_entries` open.
[[noreturn]] void too_many(const entry &top) noexcept;
// Code that is not routed has released what this entry attached.
[[noreturn]] void released_elsewhere(const entry &attached) noexcept;
// Code that is not routed has ended the gap of this entry; `caller` releases the ensure around it.
[[noreturn]] void resumed_elsewhere(const entry &gap, const void *caller) noexcept;
// A release that has no ensure.
[[noreturn]] void unbalanced_release(const void *caller) noexcept;
// A release while a gap is open that began inside the ensure.
[[noreturn]] void release_in_gap(const entry &gap, const void *caller) noexcept;
// A save on a thread that is not attached.
[[noreturn]] void save_unattached(const void *caller) noexcept;
// A restore on a thread that is attached.
[[noreturn]] void restore_attached(const void *caller) noexcept;
// A restore of NULL, or of a tstate that the library keeps for another thread (its native id), which did not save it.
[[noreturn]] void restore_null(const void *caller) noexcept;
[[noreturn]] void restore_of_other(const void *caller, pid_t owner) noexcept;
// The deletion of a tstate that a scope of this library is using.
[[noreturn]] void delete_in_use(const void *caller) noexcept;
// There is no Python, none that runs, none that can be used, or no memory.
[[noreturn]] void no_python(const void *caller, status why) noexcept;

} // namespace pyattach::gilstate
