// Starting: one thread initializes Python, and all others wait.
#include "lifecycle/starting.hpp"

#include "core/thread.hpp"
#include "platform/futex.hpp"

namespace pyattach {
namespace {

// 0: no thread starts Python; 1: a thread starts it; 2: and other threads wait. Two threads that call Py_Initialize at
// the same time crash inside CPython.
futex::word starting{0};
std::atomic<thread_local_words *> starter{nullptr};

} // namespace

void claim_start() noexcept {
    uint32_t seen = 0;
    while (!starting.compare_exchange_strong(seen, 1, std::memory_order_acquire)) {
        if (seen == 1 && !starting.compare_exchange_strong(seen, 2, std::memory_order_relaxed) && seen == 0)
            continue; // GCOVR_EXCL_LINE: only if another thread changes it between the two
        futex::wait(starting, 2);
        seen = 0;
    }
    starter.store(&this_thread, std::memory_order_relaxed);
}

void end_start() noexcept {
    starter.store(nullptr, std::memory_order_relaxed);
    if (starting.exchange(0, std::memory_order_release) == 2)
        futex::wake(starting, futex::everyone);
}

bool is_starter() noexcept { return starter.load(std::memory_order_relaxed) == &this_thread; }

void wait_for_start() noexcept {
    // Code that Python runs while it starts (sitecustomize) runs on the starter.
    while (uint32_t seen = starting.load(std::memory_order_acquire)) {
        if (is_starter())
            return;
        if (seen == 1 && !starting.compare_exchange_strong(seen, 2, std::memory_order_relaxed))
            continue; // GCOVR_EXCL_LINE: only if another thread changes it between the two
        futex::wait(starting, 2);
    }
}

void forget_start() noexcept {
    if (!is_starter())
        starting.store(0, std::memory_order_relaxed);
}

} // namespace pyattach
