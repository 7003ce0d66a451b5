// Reaper: deleting the states that ended threads left behind.
//
// Not by the ending thread, which never waits for Python (invariant 7), but by a later one that needs a new state; and
// only once the kernel says that the thread is gone: a destructor of it may still attach through PyGILState_*, which
// finds the state in its gilstate_tstate.
//
// A free-threaded CPython takes an ident for a thread, and the system gives idents again. An object belongs to
// the ident that made it; that one counts without atomics, and what others give back of it is queued to the first
// state of that ident, whose thread is to merge it (Python/brc.c); and memory belongs to the ident that asked for
// it. So while a dead state is there, what a new thread of the same ident gives away does not die before the next
// collection; and whoever deletes the dead state touches counts and memory that the new thread takes for its own.
// Therefore, there,
//   - a thread that comes in without a state takes the states of its same_ident, and deletes them before it has one of
//     its own: the ident is the same, so it is as if their own thread did;
//   - if another thread is deleting one of them it waits; a second at most, because a destructor that runs there may
//     wait for this very thread;
//   - a state whose ident another thread of this library's or of `threading`'s has now stays until that one ends.
#pragma once

#include "core/interpreter.hpp"

namespace pyattach {

// Free-threaded: dead states on their way from the interpreter's list to their end, or back. On the stack of the thread
// that deletes them, and pool_entry in the interpreter's interp_data, for same_ident and for fork().
class reap_batch {
  public:
    explicit reap_batch(interpreter &interp) noexcept : interp_(interp) {}
    reap_batch(const reap_batch &) = delete;
    reap_batch &operator=(const reap_batch &) = delete;
    ~reap_batch();

    // Those whose ident this thread has. May wait: not attached there, and not inside the gate.
    void take_same_ident() noexcept;
    void take_all() noexcept;
    // Deletes them, and if there is a batch others, too. Attached nowhere, or to another interpreter with `replaced`;
    // before this thread has a state of its own there. Runs Python code (destructors of thread-local data).
    void destroy_before_coming(thread_state *replaced) noexcept;
    // All there are, attached there. Clears free lists of the thread's own state for good: at the end alone.
    void destroy_at_exit() noexcept;

    // In a fork child, under the registry's lock: what was being deleted goes to the dead. (A child forked by a
    // destructor that runs in a deletion has to exec or to _exit: CPython deletes the state as well.)
    static void forget_locked(interp_data &) noexcept;

  private:
    void list_locked() noexcept;
    void unlock_and_tell() noexcept;
    bool has_taken() const noexcept;
    bool take_next() noexcept;
    void done_with(bool is_deleted) noexcept;
    bool is_free_to_go(const participant &) const noexcept;

    interpreter &interp_;
    const thread_local_words *const by_ = &this_thread;
    participant *taken_ = nullptr; // a same_ident that comes meanwhile takes its own out of these
    participant *now_ = nullptr;   // but waits for this one
    reap_batch *next_ = nullptr;
    bool is_listed_ = false;
};

// With a GIL, for a thread that has just made its state there and is attached with it: deletes dead ones if there is a
// batch. Runs Python code; keeps the pending exception. The same of all, on every build, when the interpreter ends.
void reap_some(interpreter &interp) noexcept;
void reap_all(interpreter &interp) noexcept;

} // namespace pyattach
