// Memory in whole pages, which the system makes when they are first written; and memory that may have been given up.
#pragma once

#include <cstddef>

namespace pyattach {

// Zeroed memory of at least this size. NULL: the system does not give that much.
void *map_memory(size_t size) noexcept;
// Gives back what map_memory returned for this size.
void unmap_memory(void *memory, size_t size) noexcept;

// Copies memory of this process that another thread may write, or give back to the system, at any time. False: it is
// not there (any more), or the system does not do this; what `to` holds then is not to be used. Async-signal-safe.
bool copy_unsure_memory(const void *from, void *to, size_t size) noexcept;

} // namespace pyattach
