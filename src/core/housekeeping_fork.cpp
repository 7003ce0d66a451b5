// Housekeeping: what a fork holds of it, and what the child has to know.
#include "core/housekeeping.hpp"

#include <utility>

namespace pyattach::housekeeping {

std::atomic<bool> is_at_work{false};
internal_lock tstate_lock;

namespace {
bool holds_tstate; // by the forking thread
} // namespace

void hold_tstate() noexcept { holds_tstate = !this_thread.forking && tstate_lock.hold_within(20000000); }
void release_hold_on_tstate() noexcept {
    if (std::exchange(holds_tstate, false))
        tstate_lock.release_hold();
}
bool restart_tstate() noexcept {
    holds_tstate = false;
    return tstate_lock.restart();
}

} // namespace pyattach::housekeeping
