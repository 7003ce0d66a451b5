// Sleepers: threads that count as attached, and sleep in a call that has detached them without this library.
#include "lifecycle/sleepers.hpp"

#include "core/interpreter.hpp"
#include "platform/clock.hpp"

namespace pyattach {
namespace {

constexpr int64_t sleeper_limit_ns = 1000000000;
// How long all other threads may need to stop, free-threaded. Each stops at its next bytecode, or it is in native code.
constexpr int64_t stop_limit_ns = 100000000;

} // namespace

unsigned sleepers::sample(bool could_attach, probe &python) noexcept {
    const gate::attached_threads now = interp_.gate.look_at_attached(except_);
    const bool may_be = now.count && now.all_sleep && could_attach;
    // The probe has been needed for signal handlers already, but not to stop threads.
    if (!may_be || (cpython::python().free_threaded && !python.can_stop_others(monotonic_ns() + stop_limit_ns))) {
        since_ns_ = 0;
        return 0;
    }
    // The processor time of a thread never falls, so an equal sum says that each is equal.
    const int64_t now_ns = monotonic_ns();
    if (!since_ns_ || now.count != first_.count || now.cpu_ns != first_.cpu_ns) {
        since_ns_ = now_ns;
        first_ = now;
    }
    return now_ns - since_ns_ >= sleeper_limit_ns ? now.count : 0;
}

} // namespace pyattach
