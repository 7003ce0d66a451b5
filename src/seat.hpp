// Seat: one thread's announcement in one interpreter's gate, and what else the two have to do with each other.
//
// A thread that has just begun finds no ready memory with the allocator. So a seat goes from thread to thread without
// leaving the gate, where it says outside meanwhile: first as one whose state is to be deleted yet, then as an empty
// one. Either is under the registry's lock, as is the hold on the interpreter's rooms that comes with a seat.
#pragma once

#include <atomic>
#include <cstdint>
#include <pthread.h>
#include <sys/types.h>

#include "cpython.hpp"
#include "native_thread.hpp"

namespace pyattach {

struct interpreter;
struct producer;
struct thread;

namespace presence {
enum value : uint8_t { outside, attached, detached };
}

struct seat {
    std::atomic<uint8_t> inside;
    bool is_taken; // by a thread that lives; under the registry's lock, as is `self`
    pid_t native_id;
    interpreter *where;
    cpython::thread_state *warm; // the state this library made for the thread there, kept between attaches
    cpython::thread_state *last; // the state it was attached with last
    pthread_t self;
    producer *drops;       // what the thread gives back there while it is not attached
    seat *next_of_thread;  // or of those that wait
    seat *next, *previous; // in the gate, under its lock
};

// Seats whose threads have ended; under the registry's lock, but for a look at the count.
struct waiting_seats {
    seat *first = nullptr;
    std::atomic<uint32_t> count{0};

    void add(int how_many) noexcept {
        count.store(count.load(std::memory_order_relaxed) + static_cast<uint32_t>(how_many), std::memory_order_relaxed);
    }
};
// Twice what a batch of deleted states leaves where that is quick; at most a KiB an interpreter.
constexpr uint32_t most_empty_seats = 16;

// This thread's seat in `where`; taken at its first entry, NULL if memory is short or the interpreter is gone.
seat *seat_of(thread &me, interpreter &where) noexcept;
// A scope of this thread's is open that the gate binds.
bool is_in_use(const thread &me, const seat &mine) noexcept;

// Under the registry's lock:
void push_held(waiting_seats &list, seat &one) noexcept;
seat *take_all_held(waiting_seats &list) noexcept;
// To the head of another list, or of one that no other thread knows; says how many.
inline int move_held(seat *&from, seat *&to, bool (*is_wanted)(const seat &) noexcept) noexcept {
    int moved = 0;
    for (seat **link = &from; seat *one = *link;) {
        if (!is_wanted(*one)) {
            link = &one->next_of_thread;
            continue;
        }
        *link = one->next_of_thread;
        one->next_of_thread = to;
        to = one;
        ++moved;
    }
    return moved;
}
// `does` may put it into another list.
inline void for_each_held(seat *list, void (*does)(seat &) noexcept) noexcept {
    while (seat *one = list) {
        list = one->next_of_thread;
        does(*one);
    }
}
// A seat that has no thread and no state any more: kept for another thread; or, behind a gate that is dead, freed, and
// perhaps the rooms with it.
void vacate_held(seat &one) noexcept;
// A seat that has no thread any more: to wait until its state is deleted, if it has one that is still there.
void await_reaping_held(seat &one) noexcept;

} // namespace pyattach
