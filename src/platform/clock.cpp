// The clock that deadlines are measured with.
#include "platform/clock.hpp"

#include <ctime>

namespace pyattach {

int64_t monotonic_ns() noexcept {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

} // namespace pyattach
