// References given back by threads that were not attached, waiting for one that is. One pool per interpreter.
//
// Each thread queues into a *producer* of its own: chunks of slots, and `pushed`, how many it ever put there, which only
// it writes; `taken`, how many were taken out, only drains write. The pool itself is one word, the head of a list of
// producers that have something (a stack: pushed with one compare-and-swap, taken whole with one exchange), and each
// producer says whether it is listed. So a thread that has one listed already shares nothing when it gives back:
//
//   give back:  write the slot;   pushed += 1 (release);   [fence]   is listed? done : settle
//   settle:     listed = true (exchange);   was it false? put the producer into the list
//   drain (one at a time, under a lock that nothing else needs):
//               take the list;   copy slots out;   taken += k;   something left? back into the list : unlist
//   unlist:     listed = false (exchange);   [fence]   pushed == taken? done : settle, for the next drain
//
// Who gives back writes `pushed` and then looks at `listed`; who unlists writes `listed` and then looks at `pushed`. With
// a full fence between the two on each side, one of them sees the other (Dekker), so no reference is stranded; should
// both, the exchange lets one of them list. "Is there anything?" is a look at the head.
//
// A fence in each push would be most of its time, and one that reaches the other threads (membarrier, see gate.hpp) in
// each drain would be a microsecond in every attach that finds a few references. So it depends:
//   - *fenced*, the usual mode: the push is an exchange, and unlisting too; x86 has the fences in them, and the standard's
//     single order of sequentially consistent operations says the same.
//   - *plain*: pushes are plain stores, and whoever unlists the producer makes all running threads pass a fence - unless it
//     is the producer's own thread. A thread becomes plain when so much waits that this fence is nothing beside it (or
//     beside the releases), and fenced again when it finds itself unlisted.
// The thread alone changes the mode. It says that it becomes plain (seq_cst), gives the next one back in the fenced way
// still, and only then goes plain: a drain that still read "fenced" after it had unlisted comes before that in the single order,
// so this fenced push, and by coherence every look after it, sees the producer unlisted.
//
// The release of `pushed` publishes the slots; the exchanges of `listed` hand the list's link to and fro; the lock hands
// the drain's part of a producer from one drain to the next.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <pthread.h>

#include "gate.hpp"

namespace pyattach {

// What the list holds: a producer, or one reference that found no producer.
struct listed {
    listed *next;
    object *single; // NULL: a producer
};

// So many slots follow.
struct chunk {
    static constexpr size_t fewest = 61; // with the head and the allocator's word half a KiB
    static constexpr unsigned sizes = 6; // each twice the one before
    static constexpr size_t most = fewest << (sizes - 1);
    chunk *next;
    unsigned size;
    object **begin() noexcept { return reinterpret_cast<object **>(this + 1); }
    object **end() noexcept { return begin() + (fewest << size); }
};

struct producer : listed {
    // The thread's part.
    object **at = nullptr;        // where the next one goes
    object **plain_end = nullptr; // up to where pushes are plain; NULL: fenced
    std::atomic<uint64_t> pushed{0};
    chunk *tail = nullptr;
    std::atomic<bool> is_plain{false};
    // Written by both. In the list, or in the hands of the drain that has the lock, or about to be put into the list.
    std::atomic<bool> is_listed{false};
    // The drain's part; on a line of its own, so that a drain at work does not slow the thread down.
    alignas(64) std::atomic<uint64_t> taken{0};
    object **from = nullptr; // the next to be taken
    chunk *head = nullptr;
    std::atomic<chunk *> spare{nullptr}; // an emptied chunk, for the thread to use again
    bool is_orphan = false;              // the thread has ended; who empties it frees it
    producer *next_emptied = nullptr;
    producer *older = nullptr, *newer = nullptr; // all producers of the pool, under its lock

    uint64_t waiting() const noexcept {
        return pushed.load(std::memory_order_acquire) - taken.load(std::memory_order_relaxed);
    }
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
        // Emptied chunks for the next burst, one of each size but the least and the largest: 14 KiB. The allocator would give them back
        // to the system, which takes longer than all the pushes.
        std::atomic<chunk *> spares[chunk::sizes - 1] = {};
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
        if (!is_plain(mine))
            return push_fenced(mine, reference);
        return push_plainly(mine, reference) ? outcome::queued : settle(mine);
    }
    // Its parts, for whoever wants no call in the usual case. False: to be settled.
    static bool is_plain(const producer &mine) noexcept {
        // And that there is room in the chunk, in one question.
        return __builtin_expect(mine.at < mine.plain_end, 1);
    }
    static bool push_plainly(producer &mine, object *reference) noexcept {
        *mine.at++ = reference;
        return __builtin_expect(publish_plainly(mine), 1);
    }
    outcome push_fenced(producer &, object *reference) noexcept;
    outcome settle(producer &) noexcept;
    bool push_single(object *) noexcept;

    // Copies up to `most` references out, oldest of each thread first, for the caller to release. `own`: this thread's
    // producer, which needs no fence; or NULL.
    size_t take(object **references, size_t most, const producer *own) noexcept;
    // Refuses from now on; returns how many references were waiting. They are leaked.
    size_t close() noexcept;

    // See the room.
    std::atomic<bool> &is_help_called() noexcept { return room_->is_help_called; }

    // Around fork(), held: no drain has a producer in its hands. In the child: what other threads were about to list.
    void hold() noexcept { pthread_mutex_lock(&room_->lock); }
    void let_go() noexcept { pthread_mutex_unlock(&room_->lock); }
    void relist() noexcept;
    // The thread is not there any more. Empty ones are freed by relist().
    void orphan_in_child(producer &one) noexcept { one.is_orphan = true; }

  private:
    // Not a pointer: the pool is closed.
    static constexpr uintptr_t closed = 1;
    static constexpr uint64_t crowd = 2 * chunk::most;
    // So much waits that a fence of all threads, some microseconds at worst, is nothing beside it.
    static constexpr uint64_t plain_from = 4 * chunk::fewest;

    // Publishes the slot, then looks: the order that everything here rests on. False: not listed.
    static bool publish_plainly(producer &mine) noexcept {
        const uint64_t before = mine.pushed.load(std::memory_order_relaxed);
#ifndef PYATTACH_TEST_SWAPPED // where a test shows that the other order fails
        mine.pushed.store(before + 1, std::memory_order_release);
        light_fence(true);
        pause_between();
        return mine.is_listed.load(std::memory_order_relaxed);
#else
        bool seen = mine.is_listed.load(std::memory_order_relaxed);
        pause_between();
        mine.pushed.store(before + 1, std::memory_order_release);
        return seen;
#endif
    }
    static bool publish_fenced(producer &mine) noexcept;
    bool extend(producer &, outcome &) noexcept;
    bool list(listed &) noexcept;
    listed *take_list(uintptr_t leave_behind) noexcept;
    std::atomic<chunk *> *spare_of(producer &, unsigned size) noexcept;
    size_t take_from(producer &, object **references, size_t most) noexcept;
    listed *unlist(producer *emptied, const producer *own, listed *rest) noexcept;
    void unlink_and_free(producer &) noexcept; // held
    void note_waiting(const listed *all) noexcept;

    std::atomic<uintptr_t> head_{0};
    room *room_;
};

} // namespace pyattach
