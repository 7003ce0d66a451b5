// Mutex: a lock that detaches the thread while it waits.
//
// Byte 0 is CPython's PyMutex: bit 0 is set while the mutex is locked, bit 1 while a thread is parked in CPython's
// parking lot. Where PyMutex exists, the thread detaches through the gate, and then waits in PyMutex's own slow path.
// So critical sections of CPython can use the same mutex. Where PyMutex does not exist (up to 3.12, or before Python is
// loaded), a waiting thread sets a flag in byte 1 and sleeps on the word; bit 1 is never set then.
//
//     0 ----------------------> locked ----------------------------> locked, awaited
//       <----------------------        a thread waits on the word            |
//               unlock                                                       | unlock: wakes one thread, which locks
//       <--------------------------------------------------------------------+ the mutex with the flag set
//
// A wait with a time limit, or one that lets signal handlers run, sleeps on the word with every Python, because PyMutex
// has no such wait. Both kinds of waiting threads may wait for the same mutex.
//
// The flag is in the same word as the lock, because unlocking must not read or write the mutex after it is free: the
// next owner may free its memory.
#pragma once

#include <atomic>
#include <cstdint>

#include "pyattach/base.h"

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

// The contracts stand in include/pyattach/mutex.h.
void lock(mutex_storage &storage) noexcept;
pyattach_status lock_for(mutex_storage &storage, int64_t timeout_ns) noexcept;
bool try_lock(mutex_storage &storage) noexcept;
void unlock(mutex_storage &storage) noexcept;
inline bool is_locked(const mutex_storage &storage) noexcept {
    return storage.word.load(std::memory_order_relaxed) & locked;
}

} // namespace mutex
} // namespace pyattach
