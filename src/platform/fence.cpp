// The asymmetric fence: the side that pays for both.
#include "platform/fence.hpp"

#include <cstdint>

#include "platform/kept_errno.hpp"
#include "platform/uncancelled.hpp"

#if defined(__linux__)
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace pyattach {

bool fences_are_asymmetric;

namespace {

#if defined(__linux__)
long membarrier(int command) noexcept { return syscall(SYS_membarrier, command, 0, 0); }

// The fallback where the kernel refuses a command that it offered earlier, because the process has entered a sandbox
// since. Taking write permission from a page that is in use makes the kernel interrupt every core on which this process
// runs, and the interrupt is a fence there.
void interrupt_all_cores() noexcept {
    long size = sysconf(_SC_PAGESIZE);
    void *page = mmap(nullptr, static_cast<size_t>(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return;
    *static_cast<volatile char *>(page) = 1;
    mprotect(page, static_cast<size_t>(size), PROT_READ);
    munmap(page, static_cast<size_t>(size));
}
#endif

} // namespace

namespace {

bool are_offered() noexcept {
#if defined(__linux__)
#if defined(__x86_64__)
    // The process is not registered yet: for a process of several threads that takes the kernel milliseconds, and the
    // side with the heavy fence can do it. If the kernel refuses it then, interrupt_all_cores() works on this machine.
    long offered = membarrier(MEMBARRIER_CMD_QUERY);
    return offered > 0 && (offered & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0;
#else
    return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
#endif
#else
    return false;
#endif
}

} // namespace

void prepare_fences() noexcept {
    enum : uint32_t { unknown, busy, known };
    static std::atomic<uint32_t> step{unknown};
    const kept_errno kept;
    uint32_t seen = unknown;
    if (step.compare_exchange_strong(seen, busy, std::memory_order_acquire)) {
        __atomic_store_n(&fences_are_asymmetric, are_offered(), __ATOMIC_RELAXED);
        step.store(known, std::memory_order_release);
    }
    // Two callers may hold two locks.
    while (step.load(std::memory_order_acquire) != known)
        sleep_uncancelled(10000);
}

void heavy_fence() noexcept {
    const kept_errno kept;
    std::atomic_thread_fence(std::memory_order_seq_cst);
#if defined(__linux__)
    if (!fences_are_asymmetric || membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0)
        return;
    // The process is not registered before the first heavy fence, nor is a fork child.
    if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0)
        return;
    interrupt_all_cores();
#endif
}

bool has_fast_heavy_fence() noexcept {
    const kept_errno kept;
#if defined(__linux__)
    static std::atomic<bool> is_registered{false};
    if (!fences_are_asymmetric || is_registered.load(std::memory_order_relaxed))
        return fences_are_asymmetric;
    if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) != 0)
        return false; // GCOVR_EXCL_LINE: run by unit/pool_storm_test, which compiles this file for itself
    is_registered.store(true, std::memory_order_relaxed);
    return true;
#else
    return false;
#endif
}

} // namespace pyattach
