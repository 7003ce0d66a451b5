// Futex: a thread sleeps until a 32-bit word changes, and another thread wakes it. Linux has system calls for both.
// Elsewhere the waiting thread sleeps briefly and its caller reads the word again, so it notices a change later.
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

// Returns when another thread wakes this one, when the word is not `seen`, after `timeout_ns` (negative: no limit), or
// spuriously, so the caller reads the word again. Not a cancellation point.
inline void wait(word &value, uint32_t seen, int64_t timeout_ns = -1) noexcept {
#if defined(__linux__)
    const kept_errno kept;
    timespec limit = {static_cast<time_t>(timeout_ns / 1000000000), static_cast<long>(timeout_ns % 1000000000)};
    syscall(SYS_futex, &value, FUTEX_WAIT_PRIVATE, seen, timeout_ns < 0 ? nullptr : &limit, nullptr, 0);
#else
    (void)timeout_ns;
    if (value.load(std::memory_order_relaxed) == seen)
        sleep_uncancelled(200000);
#endif
}

// Wakes at most `how_many` threads that wait on this word. Uses only the address of the word.
inline void wake(word &value, int how_many) noexcept {
#if defined(__linux__)
    const kept_errno kept;
    syscall(SYS_futex, &value, FUTEX_WAKE_PRIVATE, how_many, nullptr, nullptr, 0);
#else
    (void)value, (void)how_many;
#endif
}

constexpr int everyone = 0x7fffffff;

} // namespace pyattach::futex
