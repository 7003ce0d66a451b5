// Once: one-time initialization that cannot deadlock against the GIL.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/thread.hpp"

namespace pyattach {

struct once_storage {
    std::atomic<uint32_t> state; // drawn in once.cpp
    uint32_t unused;
    std::atomic<thread_local_words *> runner;
    void *spare[2];
};
static_assert(sizeof(once_storage) == 32);

namespace once {

// The contract stands in include/pyattach/once.h.
status run(once_storage &storage, status (*init)(void *), void *arg) noexcept;

} // namespace once
} // namespace pyattach
