// References given back by threads that were not attached, waiting for one that is. One pool per interpreter.
//
// A stack that producers push onto with one compare-and-swap and a drain takes whole with one exchange. "Is it empty?"
// is a look at the head itself; there is no second flag that could get out of step with it, so nothing is ever
// stranded.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "cpython.hpp"

namespace pyattach {

struct interpreter;

class pool {
  public:
    bool is_empty() const noexcept { return head_.load(std::memory_order_relaxed) <= closed; }
    size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }
    size_t high_water() const noexcept { return high_water_.load(std::memory_order_relaxed); }

    // False: closed, or no memory. The reference is then the caller's to leak.
    bool push(object *) noexcept;
    // Releases all that waits; attached, no lock held, the pending exception kept. Destructors may push again: that
    // waits for the next drain, so a drain ends.
    void drain() noexcept;
    // Refuses from now on; returns how many references were waiting. They are leaked.
    size_t close() noexcept;
    // In a fork child: batches that other threads had taken out are lost. Returns how many references that were.
    size_t recount() noexcept;

  private:
    struct node {
        node *next;
        object *reference;
    };
    // Not a node: the pool is closed.
    static constexpr uintptr_t closed = 1;

    node *take(uintptr_t leave_behind) noexcept;

    std::atomic<uintptr_t> head_{0};
    std::atomic<size_t> size_{0}, high_water_{0};
};

// Gives a reference back, wherever this thread is (see pool.h); `owner` NULL: the interpreter this thread stands for.
void drop(object *, interpreter *owner) noexcept;

pyattach_status take_reference(object *) noexcept;
// Releases all that waits in the pool of the current interpreter.
pyattach_status drain_current() noexcept;
size_t waiting() noexcept;

} // namespace pyattach
