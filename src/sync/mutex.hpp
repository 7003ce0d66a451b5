// Mutex: a lock that detaches while it waits.
//
// Byte 0 is CPython's PyMutex: bit 0 locked, bit 1 somebody is parked in CPython's parking lot. Where PyMutex exists
// its own slow path does the waiting, after we detached through the gate, so critical sections and we can hold the same
// mutex. Where it does not (up to 3.12, or no Python yet) waiters set a flag in byte 1, and sleep on the word; bit 1 is
// then never set. Locked and awaited are in one word because unlocking must not touch the mutex after it let go: the
// next owner may free it.
#pragma once

#include <atomic>
#include <cstdint>

namespace pyattach {

struct mutex_storage {
    std::atomic<uint32_t> word;
    uint32_t spare[7];
};
static_assert(sizeof(mutex_storage) == 32);

namespace mutex {

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
constexpr uint32_t locked = 1, parked = 2, awaited = 0x100;
#else
constexpr uint32_t locked = 1u << 24, parked = 2u << 24, awaited = 1u << 16;
#endif

void lock(mutex_storage &) noexcept;
bool try_lock(mutex_storage &) noexcept;
void unlock(mutex_storage &) noexcept;
inline bool is_locked(const mutex_storage &mutex_) noexcept {
    return mutex_.word.load(std::memory_order_relaxed) & locked;
}

} // namespace mutex
} // namespace pyattach
