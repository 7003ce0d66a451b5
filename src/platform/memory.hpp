// Memory in whole pages, which the system makes when they are first written.
#pragma once

#include <cstddef>

namespace pyattach {

// Zeroed memory of at least this size. NULL: the system does not give that much.
void *map_memory(size_t size) noexcept;
// Gives back what map_memory returned for this size.
void unmap_memory(void *memory, size_t size) noexcept;

} // namespace pyattach
