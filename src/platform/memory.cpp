// Memory in whole pages.
#include "platform/memory.hpp"

#include <sys/mman.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#endif

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

// The kernel reads the memory as that of another process, and fails where a load would end this one. Not through the C
// library, whose function thread sanitizers take for a read of this thread.
bool copy_unsure_memory([[maybe_unused]] const void *from, [[maybe_unused]] void *to,
                        [[maybe_unused]] size_t size) noexcept {
#if defined(__linux__)
    const kept_errno kept;
    const iovec there = {const_cast<void *>(from), size}, here = {to, size};
    return syscall(SYS_process_vm_readv, getpid(), &here, 1UL, &there, 1UL, 0UL) == static_cast<long>(size);
#else
    return false;
#endif
}

} // namespace pyattach
