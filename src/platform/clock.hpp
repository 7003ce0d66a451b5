// The clock that deadlines are measured with.
#pragma once

#include <cstdint>

namespace pyattach {

// Nanoseconds since some moment in the past; never set back.
int64_t monotonic_ns() noexcept;

} // namespace pyattach
