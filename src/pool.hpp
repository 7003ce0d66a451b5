// References given back by threads that were not attached, waiting for one that is. One pool per interpreter.
//
// Each thread queues into a *producer* of its own: chunks of slots that only it writes, and a count of what is in them.
// The pool itself is one word, the head of a list of producers that have something (a stack: pushed with one
// compare-and-swap, taken whole with one exchange). A producer is in the list, or in the hands of one drain, exactly
// while its count is not zero, because the count itself decides:
//
//   give back:  write the slot;   count += 1 (release);   was it 0? put the producer into the list
//   drain (one at a time, under a lock that nothing else needs):
//               take the list;    copy k slots out;   count -= k (acquire, release);   is it 0? done with it : put it
//   back
//
// There is no second flag that could lag behind: whoever moves the count away from 0 lists the producer, and whoever
// moves it to 0 has taken it out. Both are read-modify-writes of one word, so no reference can be stranded; "is there
// anything?" is a look at the head. The usual push touches only memory of its own thread; the list's word is written
// when a producer goes from empty to not empty. The release of the count publishes the slot to the drain, which reads
// the count first; the head's release and acquire hand the drain's own part of a producer (where it reads next) from
// one drain to the next.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <pthread.h>

#include "cpython.hpp"

namespace pyattach {

// What the list holds: a producer, or one reference that found no producer.
struct listed {
    listed *next;
    object *single; // NULL: a producer
};

struct chunk {
    static constexpr unsigned slots = 62; // with the link and the allocator's header half a KiB
    chunk *next;
    object *slot[slots];
};

struct producer : listed {
    static constexpr uint64_t orphan = uint64_t{1} << 63; // the thread has ended; who empties it frees it

    // The thread's part.
    chunk *tail;
    unsigned tail_at;
    std::atomic<uint64_t> count;
    // The drain's part; on a line of its own, so that a drain at work does not slow the thread down.
    alignas(64) chunk *head;
    unsigned head_at;
    std::atomic<chunk *> spare; // an emptied chunk, for the thread to use again
    producer *older, *newer;    // all producers of the pool, under its lock
};

class pool {
  public:
    // How many references one drain copies out at most before it releases them.
    static constexpr size_t largest_batch = 512;

    // All but the head of the list, which stays for whoever still knows the interpreter. With it go the producers.
    struct room {
        pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
        producer *producers = nullptr;
        std::atomic<size_t> high_water{0};
        // One drain that Python itself was asked for may be on its way.
        std::atomic<bool> is_help_called{false};
        ~room();
    };
    explicit pool(room &its) noexcept : room_(&its) {}

    bool is_empty() const noexcept { return head_.load(std::memory_order_relaxed) <= closed; }
    size_t size() noexcept;
    size_t high_water() noexcept;

    // NULL: no memory.
    producer *add_producer() noexcept;
    // The thread ends. What it gave back stays.
    void orphan(producer &) noexcept;

    enum class outcome { queued, crowded, refused };
    // Crowded: queued, and it is time that somebody drains. Refused: closed, or no memory.
    outcome push(producer &mine, object *reference) noexcept {
        if (__builtin_expect(mine.tail_at == chunk::slots, 0) && !extend(mine))
            return outcome::refused;
        mine.tail->slot[mine.tail_at++] = reference;
        uint64_t before = mine.count.fetch_add(1, std::memory_order_acq_rel);
        // Neither the first nor one that makes it crowded, in one question.
        if (__builtin_expect((before + 1) % crowd > 1, 1))
            return outcome::queued;
        return settle(mine, before);
    }
    bool push_single(object *) noexcept;

    // Copies up to `most` references out, oldest of each thread first, for the caller to release.
    size_t take(object **references, size_t most) noexcept;
    // Refuses from now on; returns how many references were waiting. They are leaked.
    size_t close() noexcept;

    // See the room.
    std::atomic<bool> &is_help_called() noexcept { return room_->is_help_called; }

    // Around fork(). In the child, held: producers in the hands of drains that are not there any more are listed again.
    void hold() noexcept { pthread_mutex_lock(&room_->lock); }
    void let_go() noexcept { pthread_mutex_unlock(&room_->lock); }
    void relist() noexcept;
    // The thread is not there any more. Empty ones are freed by relist().
    void orphan_in_child(producer &one) noexcept { one.count.fetch_or(producer::orphan, std::memory_order_relaxed); }

  private:
    // Not a pointer: the pool is closed.
    static constexpr uintptr_t closed = 1;
    static constexpr uint64_t crowd = 4096;

    static bool extend(producer &) noexcept;
    outcome settle(producer &, uint64_t count_before) noexcept;
    bool list(listed &) noexcept;
    listed *take_list(uintptr_t leave_behind) noexcept;
    size_t take_from(producer &, object **references, size_t most) noexcept;
    void remove(producer &) noexcept;
    void unlink_and_free(producer &) noexcept; // held
    void note_waiting(const listed *all) noexcept;

    std::atomic<uintptr_t> head_{0};
    room *room_;
};

} // namespace pyattach
