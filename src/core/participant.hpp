// Participant: one thread's announcement in one interpreter's gate, and what else the two have to do with each other.
//
// A thread that has just begun finds no ready memory with the allocator. So a participant goes from thread to thread
// without leaving the gate, where it says outside meanwhile: first as one whose state is to be deleted yet, then as an
// empty one. Either is under the registry's lock, as is the hold on the interpreter's interp_data that comes with a
// participant.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/presence.hpp"
#include "cpython/table.hpp"
#include "platform/native_thread.hpp"

namespace pyattach {

struct interpreter;
struct decref_queue;
struct thread;

struct participant {
    std::atomic<presence> presence_now;
    bool is_taken;     // by a thread that lives; under the registry's lock, as is `ident`
    bool is_temporary; // `last_tstate` is a state that the library made for one scope, which is open
    pid_t native_id;
    interpreter *interp;
    cpython::thread_state *warm_tstate; // the state this library made for the thread there, kept between attaches
    cpython::thread_state *last_tstate; // the state it was attached with last
    thread_ident ident;
    decref_queue *queue;          // what the thread gives back there while it is not attached
    participant *next_of_thread;  // or of those that wait
    participant *next, *previous; // in the gate, under its lock
};
// In no gate, with a state that is none: see thread::door.
extern participant no_participant;

// It is attached with `state`, which is not of this library's making; or with one for a scope that is open further out,
// which it goes on being.
inline cpython::thread_state *use_unowned_tstate(participant &self, cpython::thread_state *tstate) noexcept {
    self.is_temporary = self.is_temporary && self.last_tstate == tstate;
    return self.last_tstate = tstate;
}

// Participants whose threads have ended; under the registry's lock, but for a look at the count.
struct participant_list {
    participant *first = nullptr;
    std::atomic<uint32_t> count{0};

    void add(int how_many) noexcept {
        count.store(count.load(std::memory_order_relaxed) + static_cast<uint32_t>(how_many), std::memory_order_relaxed);
    }
};
// Twice what a batch of deleted states leaves where that is quick; at most a KiB an interpreter.
constexpr uint32_t most_vacant_participants = 16;

// This thread's participant in `where`; taken at its first entry, NULL if memory is short or the interpreter is gone.
participant *find_participant(thread &me, interpreter &interp) noexcept;
// A scope of this thread's is open that the gate binds, or may be.
bool is_in_use(const thread &me, const participant &self) noexcept;

// Its thread has no use for it any more, and has left the gate: it goes to the next thread, once the tstate in it, if
// there is one, is deleted.
void retire(participant &ended) noexcept;

// Under the registry's lock:
void push_locked(participant_list &list, participant &member) noexcept;
participant *take_all_locked(participant_list &list) noexcept;
// To the head of another list, or of one that no other thread knows; says how many.
inline int move_locked(participant *&from, participant *&to, bool (*is_wanted)(const participant &) noexcept) noexcept {
    int moved = 0;
    for (participant **link = &from; participant *member = *link;) {
        if (!is_wanted(*member)) {
            link = &member->next_of_thread;
            continue;
        }
        *link = member->next_of_thread;
        member->next_of_thread = to;
        to = member;
        ++moved;
    }
    return moved;
}
// `does` may put it into another list.
inline void for_each_locked(participant *list, void (*does)(participant &) noexcept) noexcept {
    while (participant *member = list) {
        list = member->next_of_thread;
        does(*member);
    }
}
// A participant that has no thread and no state any more: kept for another thread; or, behind a gate that is dead,
// freed, and perhaps the interp_data with it.
void vacate_locked(participant &member) noexcept;
// A participant that has no thread any more: to wait until its state is deleted, if it has one that is still there.
void await_reaper_locked(participant &member) noexcept;

} // namespace pyattach
