// What happened so far. A thread counts in its own record, without a shared write; reading adds all records up.
#pragma once

#include <atomic>
#include <cstdint>

namespace pyattach {

enum class event : unsigned {
    attaches,
    nested,
    refused,
    detaches,
    states_created,
    states_adopted,
    states_deleted,
    drops_now,
    drops_queued,
    drops_released,
    drops_leaked,
    exit_waits,
    exit_timeouts,
    count_
};

struct counters {
    std::atomic<uint64_t> values[static_cast<unsigned>(event::count_)];

    // Only the owner writes, so a load and a store do; atomic, because readers look at any time.
    void add(event what, uint64_t amount = 1) noexcept {
        auto &value = values[static_cast<unsigned>(what)];
        value.store(value.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }
};

// Counts on a thread that may have no record.
void count(event what, uint64_t amount = 1) noexcept;
// The sum over all threads, ended ones included.
uint64_t counted(event what) noexcept;

} // namespace pyattach
