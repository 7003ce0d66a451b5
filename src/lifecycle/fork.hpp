// fork: what the child keeps, and what it forgets.
#pragma once

#include <atomic>
#include <cstdint>

#include "pyattach/base.h"

namespace pyattach {

struct frame;
struct thread;
struct thread_local_words;

// Before the first record is used, and before Python's first guard. False: no memory. The second under the registry's
// lock.
bool prepare_fork() noexcept;
bool prepare_fork_locked() noexcept;

// How Python stands in this process since the fork that made it. A fork of which Python was not told is a raw one.
enum class after_fork : uint32_t {
    in_order,  // not forked, or Python has put itself in order since
    announced, // Python was told beforehand, so its own after-fork follows: a thread that is attached stays attached
    alone,     // raw, and no other thread was inside: the surviving thread may put Python in order
    ordering,  // which it is doing
    crowded,   // raw, and another thread was inside: locks of Python's may be held by a thread that is not here
};
extern std::atomic<after_fork> python_after_fork;
inline bool is_raw_fork() noexcept {
    return __builtin_expect(python_after_fork.load(std::memory_order_relaxed) != after_fork::in_order, 0);
}
// Nothing of Python may be touched. The thread that forked counts as not attached, whatever CPython says of it.
inline bool is_stranded() noexcept { return python_after_fork.load(std::memory_order_relaxed) == after_fork::crowded; }

// Nothing attaches; but the surviving thread may, while it puts Python in order.
bool is_refused_after_fork() noexcept;
// Letting go of Python, or coming back to it, could wait for a thread that is not here.
inline bool is_cut_off() noexcept {
    return is_raw_fork() && python_after_fork.load(std::memory_order_relaxed) != after_fork::alone &&
           is_refused_after_fork();
}
// Ends the scope on top, which attached the thread, without Python: the thread keeps its state until Python's own
// after-fork has run, if it ever does.
void end_cut_off(thread &me, frame &scope) noexcept;
// UNSUPPORTED; the message handler is told why nothing attaches in this fork child.
pyattach_status refused_after_fork() noexcept;

// Python has put itself in order in the child; attached.
void order_restored() noexcept;

// How many forks lie between the first process and this one, and which thread the last of them left alive (the address
// of its thread-local words; in the first process NULL). A word that a thread wrote in an earlier generation, and that
// is not of the surviving thread, is of a thread that is not here.
extern std::atomic<uint32_t> fork_generation;
extern std::atomic<const thread_local_words *> surviving_thread;

// Free-threaded 3.13: whoever stops an interpreter's other threads, as making a thread state may do to have room for
// it, holds a mutex while it waits for its turn; os.fork() stops them too, and copies that mutex as it finds it,
// locked, into a child where nobody is left to unlock it. So this library makes states while nobody forks, and
// os.fork() waits until they are made; a second at most. What others do is Python's own risk.
//
// Up to 3.11 the same goes for the lock under which CPython makes a thread state.
//
// Attached or not. Waits, detached, while somebody forks; a second at most.
void begin_stop() noexcept;
void end_stop() noexcept;
// Around os.fork() and its like: Python tells beforehand, and the parent afterwards. Attached. The first lets go of the
// interpreter while it waits.
void fork_begins() noexcept;
void fork_ended() noexcept;

} // namespace pyattach
