// Stats: what has happened so far, for users to read.
#pragma once

#include "pyattach/stats.h"

namespace pyattach {

// The contract stands in include/pyattach/stats.h.
void get_stats(pyattach_stats *out) noexcept;

} // namespace pyattach
