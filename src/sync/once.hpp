// Once: one-time initialisation that cannot deadlock against the GIL.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/thread.hpp"

namespace pyattach {

struct once_storage {
    std::atomic<uint32_t> state; // 0 undone, 1 running, 2 running and awaited, 3 done; see once.cpp
    uint32_t unused;
    std::atomic<thread_local_words *> runner;
    void *spare[2];
};
static_assert(sizeof(once_storage) == 32);

namespace once {

status run(once_storage &, status (*init)(void *), void *arg) noexcept;

} // namespace once
} // namespace pyattach
