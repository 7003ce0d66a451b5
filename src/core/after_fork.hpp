// After a fork: how Python stands in a process that a fork() made, and what this library does there until it is in
// order.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/thread.hpp"
#include "pyattach/base.h"

namespace pyattach {

// How Python stands in this process since the fork that made it. A fork of which Python was not told is a raw one.
enum class after_fork : uint32_t {
    in_order,   // not forked, or Python has put itself in order since
    announced,  // Python was told beforehand, so its own after-fork follows: a thread that is attached stays attached
    repairable, // raw, and no other thread was inside: the surviving thread may put Python in order
    repairing,  // which it is doing
    stranded,   // raw, and another thread was inside: locks of Python's may be held by a thread that is not here
};
extern std::atomic<after_fork> python_after_fork;
inline bool is_raw_fork() noexcept {
    return __builtin_expect(python_after_fork.load(std::memory_order_relaxed) != after_fork::in_order, 0);
}
// Nothing of Python may be touched. The thread that forked counts as not attached, whatever CPython says of it.
inline bool is_stranded() noexcept { return python_after_fork.load(std::memory_order_relaxed) == after_fork::stranded; }

// Nothing attaches; but the surviving thread may, while it puts Python in order.
bool is_refused_after_fork() noexcept;
// Letting go of Python, or coming back to it, could wait for a thread that is not here.
inline bool is_cut_off() noexcept {
    return is_raw_fork() && python_after_fork.load(std::memory_order_relaxed) != after_fork::repairable &&
           is_refused_after_fork();
}
// UNSUPPORTED; the message handler is told why nothing attaches in this fork child.
pyattach_status refused_after_fork() noexcept;

// What stands against using Python in this child, as a sentence; NULL: nothing. Set within fork(), in the child.
void set_fork_obstacle(const char *sentence) noexcept;

// How many forks lie between the first process and this one, and which thread the last of them left alive (the address
// of its thread-local words; in the first process NULL). A word that a thread wrote in an earlier generation, and that
// is not of the surviving thread, is of a thread that is not here.
extern std::atomic<uint32_t> fork_generation;
extern std::atomic<const thread_local_words *> surviving_thread;

} // namespace pyattach
