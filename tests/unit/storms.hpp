// What the storms of the gate and of the pool share: two cores to run on, and all three kinds of fences. Included by
// the one file of a program that defines storms().
#pragma once

#include <atomic>
#include <chrono>
#include <sched.h>

#include "platform/fence.hpp"
#include "support/refuse_membarrier.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/expect.hpp"

namespace {

[[maybe_unused]] void prepare() {
    static bool prepared = (pyattach::prepare_fences(), true);
    (void)prepared;
}

// Each step takes some nanoseconds. Callers vary the number of steps, so that the threads collide at different places.
[[maybe_unused]] void idle(int steps) {
    for (volatile int i = steps; i > 0; i = i - 1) {
    }
}

#ifndef PYATTACH_TEST_SWAPPED

void storms();

// Binds this thread to one of the processor's cores, so that two threads run at the same time.
void run_on_core(int wanted) {
    cpu_set_t allowed, chosen;
    sched_getaffinity(0, sizeof allowed, &allowed);
    CPU_ZERO(&chosen);
    for (int core = 0; core < CPU_SETSIZE; ++core)
        if (CPU_ISSET(core, &allowed) && wanted-- == 0)
            CPU_SET(core, &chosen);
    sched_setaffinity(0, sizeof chosen, &chosen);
}

// The turns of two threads that collide again and again: so many rounds, or what a busy machine manages in some
// seconds.
class turns {
  public:
    explicit turns(int rounds) : rounds_(rounds) {}

    // Whether another round follows. The thread that begins the rounds asks, and then begins a turn in either case; the
    // other one reads is_over() after that turn.
    bool goes_on(int round) {
        is_over_ = round >= rounds_ || std::chrono::steady_clock::now() > end_;
        return !is_over_;
    }
    bool is_over() const { return is_over_; }
    void begin(int turn) { begun_.store(turn, std::memory_order_release); }
    void wait_for(int turn) const {
        for (int i = 1; begun_.load(std::memory_order_acquire) < turn; ++i)
            if (i % 2000 == 0)
                sched_yield(); // the other thread may have lost its core
    }

  private:
    std::atomic<int> begun_{0};
    const int rounds_;
    const std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    bool is_over_ = false; // published by begin()
};

// Stores that have to wait for the other core: later stores come after them, and later loads overtake them all.
class store_backlog {
  public:
    void store(char value) {
        for (line &each : lines_)
            each.stored = value;
    }

  private:
    struct alignas(64) line {
        volatile char stored;
    } lines_[32] = {};
};

CHILD("storms without membarrier") {
    if (!support::refuse_membarrier())
        std::_Exit(77);
    prepare();
    EXPECT(!pyattach::fences_are_asymmetric);
    storms();
}
CHILD("membarrier lost before it was registered") {
    prepare();
    if (!support::refuse_membarrier())
        std::_Exit(77);
    EXPECT(!pyattach::has_fast_heavy_fence());
}
CHILD("storms that lose membarrier") {
    prepare();
    EXPECT(pyattach::has_fast_heavy_fence() == pyattach::fences_are_asymmetric);
    if (!support::refuse_membarrier())
        std::_Exit(77);
    storms();
}
TEST_CASE("the storms pass without membarrier, and when the kernel begins to refuse it") {
    support::child_options options;
    options.deadline = std::chrono::seconds(240); // on a machine that is busy with other things as well
    for (const char *name :
         {"storms without membarrier", "membarrier lost before it was registered", "storms that lose membarrier"}) {
        support::child_result result = support::run_child(name, options);
        INFO(name << ": " << result.describe());
        if (result.exit_code == 77)
            WARN("this system has no seccomp filters, so membarrier cannot be taken away");
        else
            CHECK(result.exit_code == 0);
    }
}

#endif

} // namespace
