// Error message: the pending exception as text. The contracts stand in include/pyattach/call.h.
#pragma once

#include <cstddef>

namespace pyattach::call {

// On a forbidden thread neither function calls Python. Where 0 is returned, `buffer` holds an empty string. A NULL
// `buffer` counts as `size` 0.
size_t error_message(char *buffer, size_t size) noexcept;
void error_clear() noexcept;

} // namespace pyattach::call
