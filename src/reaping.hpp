// Reaping: deleting the states that ended threads left behind.
//
// Not by the ending thread, which never waits for Python (invariant 7), but by a later one that needs a new state; and
// only once the kernel says that the thread is gone: a destructor of it may still attach through PyGILState_*, which
// finds the state in its slot.
//
// A free-threaded CPython takes an identity for a thread, and the system gives identities again. An object belongs to
// the identity that made it; that one counts without atomics, and what others give back of it is queued to the first
// state of that identity, whose thread is to merge it (Python/brc.c); and memory belongs to the identity that asked for
// it. So while a dead state is there, what a new thread of the same identity gives away does not die before the next
// collection; and whoever deletes the dead state touches counts and memory that the new thread takes for its own.
// Therefore, there,
//   - a thread that comes in for the first time takes the states of its namesakes out of the list before it has a state
//     of its own, and deletes them as soon as it has: the identity is the same, so it is as if their own thread did;
//   - if another thread is deleting one of them it waits; a second at most, because a destructor that runs there may
//     wait for this very thread;
//   - a state whose identity a thread of `threading`'s has now stays until that one ends, or comes in itself.
#pragma once

#include "interpreter.hpp"

namespace pyattach {

// Dead states, from when a thread takes them out of the interpreter's list until they are deleted or back there. On the
// stack of that thread, and listed in the interpreter's rooms, for namesakes and for fork().
class reaping {
  public:
    explicit reaping(interpreter &where) noexcept : where_(where) {}
    reaping(const reaping &) = delete;
    reaping &operator=(const reaping &) = delete;
    ~reaping();

    // Those whose identity this thread has. While another thread is deleting one it waits, if it may.
    void take_namesakes(bool may_wait) noexcept;
    // And those whose threads are gone. Attached.
    void take_gone() noexcept;
    // Attached there; runs Python code (destructors of thread-local data); keeps the pending exception.
    void destroy() noexcept;

    // In a fork child, under the registry's lock: what other threads were deleting goes to the dead.
    static void forget_others_held(rooms &) noexcept;

  private:
    void list_held() noexcept;
    template <class Predicate> void give_back_held(Predicate is_wanted) noexcept;
    bool is_other_at_namesake_held() const noexcept;
    void unlock_and_tell() noexcept;

    interpreter &where_;
    const thread_local_words *const by_ = &this_thread;
    seat *taken_ = nullptr;
    reaping *next_ = nullptr;
    bool is_listed_ = false;
};

// For a thread that has just made its state there: deletes dead ones if there is a batch. All three: attached.
void reap_some(interpreter &where) noexcept;
void reap_all(interpreter &where) noexcept;
// This thread's namesakes, where they are in the way.
void reap_namesakes(interpreter &where) noexcept;

// A state for this thread; NULL: no memory. Not while somebody forks, where the child would find a lock of CPython's
// held.
thread_state *make_state(interpreter &where) noexcept;

} // namespace pyattach
