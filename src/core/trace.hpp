// Trace: what each thread notes while a trace records, in a ring of its own.
//
// A thread on a fast path notes nothing: while a trace records, no thread has a fast bit (thread_local_words::tag). So
// only slow paths call the functions below, each of which begins with one load.
//
// Stopping. A thread that notes something stores `records_now` in its record, passes a light fence, and then loads
// `is_recording`. A thread that stops the trace stores `is_recording`, passes a heavy fence, and then waits until no
// thread has `records_now` set (Dekker, as at the gate). So after a stop no thread writes into a ring, and the next
// start may give the rings back to the system.
//
// A ring has one writer. It overwrites its oldest records while other threads copy them (read_records), which is a
// seqlock: the words are atomic, and a reader that finds the head further on than before drops what may have been
// overwritten. A thread that ends leaves its ring to a later thread, so there are as many rings as there are threads at
// a time. Each record has the number of its thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/thread.hpp"
#include "platform/native_thread.hpp"
#include "platform/ticks.hpp"

namespace pyattach::trace {

// What a record says. `object`: the interpreter's record, if nothing else is said.
enum class kind : uint8_t {
    none,
    thread_begins,  // the thread's first record
    thread_ends,    // its last one
    wants,          // is about to wait for Python; detail: wants_again at the end of a detached scope
    attached,       // value: how long it has waited; detail: flags of `how`
    leaves,         // ends the scope that attached it, before it gives Python up
    detaches,       // begins a detached scope, before it gives Python up
    refused,        // detail: the status; object: NULL, or the interpreter
    label,          // object, value: 16 bytes of the label of the scope that has attached the thread
    pool,           // value: how many references wait in the interpreter's pool
    drained,        // object: how many references; value: how long that took
    reaped,         // object: how many tstates; value: how long that took
    lock_waits,     // object: the lock; detail: which kind
    lock_got,       // the same, after lock_waits; detail: which kind
    lock_gone,      // the same, but the thread gave up
    lock_released,  // the lock, which another thread waits for; before it is free
    gate,           // detail: the new state of the gate
    exit_waits,     // value: the native id of a thread that an end waits for
    exit_timed_out, // the end has waited to its limit
    forked,         // value: the id of this process, the child
    house_begins,   // the housekeeper begins a slice of work in the interpreter
    house_ends,
};
enum how : uint8_t { plain = 0, first_attach = 1, again = 2 };
enum class lock_kind : uint8_t { mutex, once, critical_section };

struct record {
    uint64_t ticks;
    uint32_t thread;
    kind what;
    uint8_t detail;
    uint64_t object;
    uint64_t value;
    uint32_t order; // of records of the same moment, as read from the rings
};

// Acquire: what the start wrote before, also of the clock (ticks.hpp).
inline bool is_on() noexcept { return __builtin_expect(is_recording.load(std::memory_order_acquire), 0); }

// Notes an event of the calling thread. Neither locks nor allocates, but for the thread's first record, which takes a
// ring. A thread without a record is counted as lost.
void note(kind what, uint8_t detail, uint64_t object, uint64_t value) noexcept;
// The same of an earlier moment.
void note_at(uint64_t when, kind what, uint8_t detail, uint64_t object, uint64_t value) noexcept;
// The thread gives its record back.
void end_thread(thread &ended) noexcept;

inline uint64_t word_of(const void *object) noexcept { return reinterpret_cast<uintptr_t>(object); }

// A wait for Python: the begin and the end of it.
void note_wants(const interpreter *interp, how why) noexcept;
void note_attached(const interpreter *interp, int flags) noexcept;
inline void wants(const interpreter *interp, how why = plain) noexcept {
    if (is_on())
        note_wants(interp, why);
}
inline void has_attached(const interpreter *interp, int flags = plain) noexcept {
    if (is_on())
        note_attached(interp, flags);
}
inline void leaves(const interpreter *interp) noexcept {
    if (is_on())
        note(kind::leaves, 0, word_of(interp), 0);
}
inline void detaches(const interpreter *interp) noexcept {
    if (is_on())
        note(kind::detaches, 0, word_of(interp), 0);
}
void note_refused(status why, const interpreter *interp) noexcept;
inline void is_refused(status why, const interpreter *interp = nullptr) noexcept {
    if (is_on())
        note_refused(why, interp);
}
void note_label(const char *label) noexcept;
inline void is_labelled(const char *label) noexcept {
    if (is_on())
        note_label(label);
}
inline void lock_event(kind what, lock_kind which, const void *lock) noexcept {
    if (is_on())
        note(what, static_cast<uint8_t>(which), word_of(lock), 0);
}
inline void gate_becomes(const interpreter *interp, unsigned state) noexcept {
    if (is_on())
        note(kind::gate, static_cast<uint8_t>(state), word_of(interp), 0);
}
inline void house(kind what, const interpreter *interp) noexcept {
    if (is_on())
        note(what, 0, word_of(interp), 0);
}

// Work that is noted at its end, with its amount and how long it took. Nothing is noted if the amount is 0.
class work {
  public:
    explicit work(kind what) noexcept : what_(what), began_(is_on() ? ticks() : 0) {}
    work(const work &) = delete;
    work &operator=(const work &) = delete;
    ~work() {
        if (began_ && amount_ && is_on())
            note(what_, 0, amount_, ticks() - began_);
    }
    void add(uint64_t amount) noexcept { amount_ += amount; }

  private:
    const kind what_;
    const uint64_t began_;
    uint64_t amount_ = 0;
};

// Notes a wait for a lock that may turn out to be free, at its end, unless it was too short to be one.
void note_lock_wait(uint64_t began, lock_kind which, const void *lock) noexcept;

} // namespace pyattach::trace
