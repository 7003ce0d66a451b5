// Mutex: a lock that detaches while it waits.
//
// Byte 0 is CPython's PyMutex: bit 0 locked, bit 1 somebody is parked in CPython's parking lot. Where PyMutex exists
// its own slow path does the waiting, after we detached through the gate, so critical sections and we can hold the same
// mutex. Where it does not (up to 3.12, or no Python yet) waiters count themselves in a word of ours and sleep on
// another; bit 1 is then never set.
#pragma once

#include <atomic>
#include <cstdint>

namespace pyattach {

struct mutex_storage {
    std::atomic<uint8_t> bits;
    uint8_t unused[3];
    std::atomic<uint32_t> waiters;
    std::atomic<uint32_t> turn; // changes at each unlock that somebody waits for
    uint32_t spare[5];
};
static_assert(sizeof(mutex_storage) == 32);

namespace mutex {

void lock(mutex_storage &) noexcept;
bool try_lock(mutex_storage &) noexcept;
void unlock(mutex_storage &) noexcept;
inline bool is_locked(const mutex_storage &one) noexcept { return one.bits.load(std::memory_order_relaxed) & 1; }

} // namespace mutex
} // namespace pyattach
