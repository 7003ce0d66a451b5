// Sleep until a 32-bit word changes, and wake who sleeps. Linux has that as a system call; elsewhere sleeping briefly
// and looking again keeps the promise, later.
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include "platform/uncancelled.hpp"
#endif

#include "platform/kept_errno.hpp"

namespace pyattach::futex {

using word = std::atomic<uint32_t>;
static_assert(sizeof(word) == 4 && word::is_always_lock_free, "the kernel compares the word itself");

// Not where a thread is cancelled. Returns when woken, when the word is not `seen`, after `timeout_ns` (negative:
// never), or for no reason: look again.
inline void wait(word &at, uint32_t seen, int64_t timeout_ns = -1) noexcept {
#if defined(__linux__)
    const kept_errno kept;
    timespec limit = {static_cast<time_t>(timeout_ns / 1000000000), static_cast<long>(timeout_ns % 1000000000)};
    syscall(SYS_futex, &at, FUTEX_WAIT_PRIVATE, seen, timeout_ns < 0 ? nullptr : &limit, nullptr, 0);
#else
    (void)timeout_ns;
    if (at.load(std::memory_order_relaxed) == seen)
        sleep_uncancelled(200000);
#endif
}

inline void wake(word &at, int how_many) noexcept {
#if defined(__linux__)
    const kept_errno kept;
    syscall(SYS_futex, &at, FUTEX_WAKE_PRIVATE, how_many, nullptr, nullptr, 0);
#else
    (void)at, (void)how_many;
#endif
}

constexpr int everyone = 0x7fffffff;

} // namespace pyattach::futex
