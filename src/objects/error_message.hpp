// The pending exception in words. The contracts stand in include/pyattach/call.h.
#pragma once

#include <cstddef>

namespace pyattach::call {

// Nothing here is asked of Python on a thread that is forbidden. `buffer` gets an empty text where 0 is returned; NULL
// counts as `size` 0.
size_t error_message(char *buffer, size_t size) noexcept;
void error_clear() noexcept;

} // namespace pyattach::call
