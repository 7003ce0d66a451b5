// Counters: how often each event has happened. A thread counts frequent events in its own record, without a write that
// threads share, and a reader adds up all records.
#pragma once

#include <atomic>
#include <cstdint>

namespace pyattach {

enum class event : unsigned {
    // Frequent: each thread has counters of its own.
    attaches,
    nested,
    detaches,
    drops_now,
    drops_queued,
    // Rare: one counter for the process.
    refused,
    states_created,
    states_adopted,
    states_deleted,
    drops_released,
    drops_leaked,
    exit_waits,
    exit_timeouts,
    count_
};
constexpr unsigned events = static_cast<unsigned>(event::count_);
constexpr unsigned frequent_events = static_cast<unsigned>(event::refused);

struct counters {
    std::atomic<uint64_t> values[frequent_events];

    // Only the owner writes, so a load and a store suffice. The word is atomic because other threads read it.
    void add(event what, uint64_t amount = 1) noexcept {
        auto &value = values[static_cast<unsigned>(what)];
        value.store(value.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }
};

// Counts an event, also a rare one, and also on a thread that has no record.
void count(event what, uint64_t amount = 1) noexcept;
// The sum over all threads, ended ones included.
uint64_t counted(event what) noexcept;

} // namespace pyattach
