// The clock that deadlines are measured with.
#pragma once

#include <cstdint>

namespace pyattach {

// Nanoseconds since a fixed moment in the past. The clock is never set back.
int64_t monotonic_ns() noexcept;

} // namespace pyattach
