// The clock that deadlines are measured with.
#include "platform/clock.hpp"

#include <ctime>

namespace pyattach {

int64_t monotonic_ns() noexcept {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
}

} // namespace pyattach
