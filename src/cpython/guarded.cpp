// Parking a thread that must not call CPython any more.
#include "cpython/guarded.hpp"

#include "cpython/guards.hpp"
#include "platform/uncancelled.hpp"

namespace pyattach::cpython {

void park() noexcept {
    release_own_guards(); // else finalization would wait for this thread
    // Uncancelled, because a cancellation would unwind the frames around this one.
    for (;;)
        sleep_uncancelled(int64_t{3600} * 1000000000);
}

} // namespace pyattach::cpython
