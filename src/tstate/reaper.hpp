// Reaper: deletes the tstates of ended threads.
//
// A tstate that this library made is *orphaned* from the end of its thread until it is deleted. Its participant waits
// for that in the interpreter's list `interp_data::orphaned`.
//
// The ending thread does not delete its tstate, because its end never waits for Python (invariant 7). The housekeeper
// or a later thread deletes the orphaned one, and only after the kernel has reported the end of the first thread. Until
// then a destructor of that thread may still attach through PyGILState_*, which finds the tstate in its GILState slot.
//
// A free-threaded CPython identifies a thread by its ident, and the system gives the ident of an ended thread to a new
// one. An object belongs to the ident that created it. The thread with that ident counts the object's references
// without atomics. References to it that other threads give back are queued to the first tstate of that ident, whose
// thread is to merge them (Python/brc.c). Memory, too, belongs to the ident that allocated it. So while an orphaned
// tstate exists, an object that a new thread of the same ident gives away is not freed before the next collection. And
// a thread that deletes the orphaned tstate writes to counts and memory that the new thread treats as its own.
// Therefore, on a free-threaded Python, a thread deletes its tstate at its end (warm_state::destroy_at_end). Where it
// had to leave it:
//   - A thread that attaches without a tstate takes the orphaned tstates of its own ident, and deletes them before it
//     has a tstate of its own. The ident is the same, so the effect is as if their own threads deleted them.
//   - If another thread is deleting one of them, the thread waits for it. It waits for one second at most, because a
//     destructor that runs in the deletion may wait for the waiting thread.
//   - An orphaned tstate stays while its ident belongs to another thread that this library or `threading` has a record
//     of.
#pragma once

#include "core/interpreter.hpp"

namespace pyattach {

// Free-threaded: orphaned tstates that one thread, the *owner*, has taken out of the interpreter's list to delete them.
// The owner has the batch on its stack. While it is linked in interp_data::reap_batches, other threads find it, and so
// does the child of a fork.
class reap_batch {
  public:
    explicit reap_batch(interpreter &interp) noexcept : interp_(interp) {}
    reap_batch(const reap_batch &) = delete;
    reap_batch &operator=(const reap_batch &) = delete;
    ~reap_batch();

    // Takes the tstates that have the owner's ident. May wait, so the owner is not attached to the interpreter and not
    // inside its gate.
    void take_same_ident() noexcept;
    void take_all() noexcept;
    // Deletes the tstates that were taken, and the other orphaned ones if there are enough of them. The owner has no
    // tstate of its own in the interpreter yet. It is detached, or attached to another interpreter with `replaced`.
    // Runs Python code (destructors of thread-local data).
    void destroy_before_attach(thread_state *replaced) noexcept;
    // Deletes all orphaned tstates, on an owner that is attached to the interpreter. This empties free lists of the
    // owner's own tstate for good, so it is done only when the interpreter ends.
    void destroy_at_exit() noexcept;

    // In a fork child, under the registry's lock: orphans again what other threads were deleting. (If a destructor that
    // runs in a deletion forks, the child has to call exec or _exit, because CPython deletes the tstate as well.)
    static void forget_locked(interp_data &data) noexcept;

  private:
    void link_locked() noexcept;
    void unlock_and_wake() noexcept;
    bool has_taken() const noexcept;
    bool take_next() noexcept;
    void finish_current(bool is_deleted) noexcept;
    bool may_delete(const participant &member) const noexcept;

    interpreter &interp_;
    const thread_local_words *const owner_ = &this_thread;
    participant *taken_ = nullptr;   // a thread with the ident of one of these takes that one for itself
    participant *current_ = nullptr; // being deleted; a thread with its ident waits
    reap_batch *next_ = nullptr;
    bool is_linked_ = false;
};

// Free-threaded: whether an ended thread that had the calling thread's ident may have left a tstate that is not deleted
// yet.
bool is_same_ident_orphaned(const interpreter &interp) noexcept;

// With a GIL. The calling thread is attached to the interpreter with the tstate that it has just made. Deletes the
// orphaned tstates if there are enough for a batch, and if the thread may run destructors. Runs Python code, and keeps
// the pending exception.
void reap_some(interpreter &interp) noexcept;
// When the interpreter ends, on every build: deletes all orphaned tstates. Attached; as above.
void reap_all(interpreter &interp) noexcept;

} // namespace pyattach
