// After a fork: whether Python can be used in a process that a fork() made.
//
// Python is *in order* in the child after its own after-fork (PyOS_AfterFork_Child) has run there. A *raw* fork is one
// of which CPython was not notified beforehand, so nothing calls its after-fork. The *surviving thread* is the one that
// called fork(), and the only one in the child.
//
//      from          what happens                                        to
//      any           fork(), of which CPython was notified               announced
//      in_order      raw fork(), no other thread inside Python           repairable
//      repairable    raw fork() by the surviving thread                  repairable
//      any other     raw fork()                                          stranded
//      repairable    the surviving thread begins to put Python in order  repairing
//      repairing     its attach was refused                              repairable
//      repairable    routed code attaches on another thread              in_order
//      announced,    Python's after-fork has returned                    in_order
//      repairing
//
// If no exit hook was registered before the fork, CPython cannot notify the library, and the child starts as in_order.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/thread.hpp"
#include "pyattach/base.h"

namespace pyattach {

// Written within fork() and by the surviving thread.
enum class after_fork : uint32_t {
    in_order,   // this process was not forked, or Python is in order again, or no exit hook was registered
    announced,  // CPython was notified, so it calls its own after-fork; a thread that is attached stays attached
    repairable, // a raw fork, and no other thread was inside: the surviving thread may put Python in order
    repairing,  // the surviving thread puts Python in order
    stranded,   // a raw fork, and another thread was inside: a thread that is not in the child may hold CPython's locks
};
extern std::atomic<after_fork> python_after_fork;
inline bool is_python_out_of_order() noexcept {
    return __builtin_expect(python_after_fork.load(std::memory_order_relaxed) != after_fork::in_order, 0);
}
// CPython must not be called at all. The surviving thread is treated as not attached, whatever its current tstate is.
inline bool is_stranded() noexcept { return python_after_fork.load(std::memory_order_relaxed) == after_fork::stranded; }

// Whether an attach is refused. While the surviving thread puts Python in order, it may attach.
bool is_refused_after_fork() noexcept;
// Whether this thread must not detach or re-attach, because it could wait for a thread that is not in the child.
inline bool is_cut_off() noexcept {
    return is_python_out_of_order() && python_after_fork.load(std::memory_order_relaxed) != after_fork::repairable &&
           is_refused_after_fork();
}
// Calls the message handler with the reason why nothing attaches in this fork child, and returns PYATTACH_UNSUPPORTED.
pyattach_status refused_after_fork() noexcept;

// Sets the sentence that says why Python cannot be used in this child; NULL: it can. Called within fork(), in the
// child.
void set_fork_obstacle(const char *sentence) noexcept;

// How many forks lie between the first process and this one, and the surviving thread of the last fork, as the address
// of its thread-local words (NULL in the first process). A thread that wrote a word in an earlier generation, and is
// not the surviving one, is not in this process.
extern std::atomic<uint32_t> fork_generation;
extern std::atomic<const thread_local_words *> surviving_thread;

} // namespace pyattach
