// Memory in whole pages.
#include "platform/memory.hpp"

#include <sys/mman.h>

#include "platform/kept_errno.hpp"

namespace pyattach {

void *map_memory(size_t size) noexcept {
    const kept_errno kept;
    void *memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? nullptr : memory;
}

void unmap_memory(void *memory, size_t size) noexcept {
    const kept_errno kept;
    munmap(memory, size);
}

} // namespace pyattach
