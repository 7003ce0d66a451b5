// Trace ring: the memory in which one thread at a time records, and the trace to which it belongs.
#pragma once

#include "core/trace.hpp"
#include "core/trace_session.hpp"

namespace pyattach::trace {

struct slot {
    std::atomic<uint64_t> words[4];
};

// The slots follow it in memory.
struct ring {
    ring *next;    // of all rings, which are only added while a trace records
    uint64_t mask; // the number of slots, a power of two, less one
    std::atomic<bool> is_taken;
    uint32_t thread;     // the number of the thread that has taken it
    uint64_t wait_began; // of the wait that is under way; 0: there is none
    // How many records have been written since the start. On a cache line of its own, with what only the writer uses.
    alignas(64) std::atomic<uint64_t> head;

    slot &at(uint64_t number) noexcept { return reinterpret_cast<slot *>(this + 1)[number & mask]; }

    void write(uint64_t when, kind what, uint8_t detail, uint64_t object, uint64_t value, bool keeps_oldest) noexcept;
    // Copies the records that are complete to `to`, which has room for all slots, and returns how many.
    size_t read(record *to, uint64_t &overwritten) noexcept;
};

inline size_t size_of_ring(size_t slots) noexcept { return sizeof(ring) + slots * sizeof(slot); }
// NULL: no memory.
ring *make_ring(size_t slots) noexcept;

// Names are kept of so many threads; of a later one the number alone is known.
constexpr uint32_t most_named = 4096;

// The trace that records, or has stopped. Changed by a start alone, while no thread records.
struct session {
    std::atomic<ring *> rings{nullptr};
    std::atomic<uint32_t> threads{0}; // how many have recorded something
    std::atomic<uint64_t> lost{0};
    thread_info *infos = nullptr;
    size_t slots = 0; // of each ring; 0: no trace was started
    bool keeps_oldest = false;
};
extern session current_session;

} // namespace pyattach::trace
