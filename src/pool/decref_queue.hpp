// What one thread gives back to one pool: a queue that only it fills, and one drain at a time empties.
//
// The thread writes the gilstate_tstate, adds one to `pushed`, and then looks whether the decref_queue is in the pool's
// list; see pool.hpp for the other side, and why there is a fence between the two. That fence would be most of a push,
// and one of the other side's that reaches this thread (see fence.hpp) would be a microsecond in every attach that
// finds a few references. So it depends:
//   - *fenced*, the fast_record mode: a push is an exchange. Both sides' operations are sequentially consistent.
//   - *plain*: a push is plain stores, and whoever takes the decref_queue off the list makes all running threads pass a
//     fence, unless it is the decref_queue's own thread. A thread becomes plain when so much waits that this is nothing
//     beside releasing it, and fenced again when it finds itself off the list.
// The thread alone changes the mode. It says that it becomes plain, gives the next one back in the fenced way still,
// and only then goes plain. So a drain that unlists and then reads "fenced" comes before the saying in the single order
// of such operations: the push after it sees that unlisting or what came after, and by coherence so does every later
// look, plain or not. Becoming fenced needs no order: the exchange of `in_pool_list` that follows has it, if a drain's
// exchange reads from that one; and if it was first, this thread lists the decref_queue itself.
//
// The release of `pushed` publishes the slots, and the acquire of whoever reads it goes before the reading of a
// gilstate_tstate.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpython/table.hpp"
#include "platform/fence.hpp"

namespace pyattach {

// What a pool's list holds: a decref_queue, or one reference that found no decref_queue.
struct pool_entry {
    pool_entry *next;
    object *single; // NULL: a decref_queue
};
struct single_entry : pool_entry {
    bool is_counted; // see pool::data::waiting
};

// The slots follow.
struct chunk {
    static constexpr size_t fewest = 61; // with the head and the allocator's word half a KiB
    static constexpr unsigned sizes = 6; // each twice the one before
    static constexpr size_t most = fewest << (sizes - 1);
    chunk *next;
    unsigned size;
    object **begin() noexcept { return reinterpret_cast<object **>(this + 1); }
    object **end() noexcept { return begin() + (fewest << size); }
};

// Emptied chunks for the next burst, one of each size but the least, of which each decref_queue keeps its own, and the
// largest: 15 KiB, so that bursts as large as the one before need not allocate.
struct spare_chunks {
    std::atomic<chunk *> of_size[chunk::sizes - 1] = {};
    ~spare_chunks();
};

struct decref_queue : pool_entry {
    // The thread's part.
    object **at = nullptr;        // where the next one goes
    object **plain_end = nullptr; // up to where pushes are plain; NULL: fenced
    std::atomic<uint64_t> pushed{0};
    chunk *tail = nullptr;
    std::atomic<bool> is_plain{false};
    // Both sides write it. In the list, in the hands of the drain that has the lock, or about to be put into the list.
    std::atomic<bool> in_pool_list{false};
    uint64_t counted = 0; // of `pushed`, what the pool's count has; the thread's part still
    // The drain's part; on a line of its own, so that a drain at work does not slow the thread down.
    alignas(64) std::atomic<uint64_t> taken{0};
    object **from = nullptr; // the next to be taken
    chunk *head = nullptr;
    std::atomic<chunk *> spare{nullptr}; // an emptied chunk, for the thread to use again
    bool is_orphan = false;              // the thread has ended; who empties it frees it
    decref_queue *next_emptied = nullptr;
    decref_queue *older = nullptr, *newer = nullptr; // all decref_queues of the pool, under its lock

    // NULL: no memory.
    static decref_queue *make() noexcept;
    static void destroy(decref_queue *) noexcept;

    uint64_t waiting() const noexcept {
        return pushed.load(std::memory_order_acquire) - taken.load(std::memory_order_relaxed);
    }

    // The fast_record push of many: there is room, and nothing to be asked but whether the decref_queue is pool_entry.
    bool is_ready() const noexcept { return __builtin_expect(at < plain_end, 1); }
    bool push_plainly(object *reference) noexcept {
        *at++ = reference;
        return __builtin_expect(publish_plainly(), 1);
    }
    // Any other. False: no memory, and nothing done. Whether it is pool_entry comes out, and whether it is time to
    // count.
    bool push_fenced(object *reference, spare_chunks &, bool &was_in_pool_list, bool &is_count_due) noexcept;
    // What the pool does not count yet; from now on it does. On the thread, or once that has ended.
    uint64_t take_uncounted() noexcept {
        const uint64_t all = pushed.load(std::memory_order_relaxed), fresh = all - counted;
        counted = all;
        return fresh;
    }
    void become_fenced() noexcept;
    // The last push did not take place. Under the pool's lock.
    void undo_push() noexcept;

    // The drain's: copies up to `most` references out, oldest first.
    size_t take(object **references, size_t most, spare_chunks &) noexcept;

  private:
    bool publish_plainly() noexcept {
        const uint64_t before = pushed.load(std::memory_order_relaxed);
#ifndef PYATTACH_TEST_SWAPPED // where a test shows that the other order fails
        pushed.store(before + 1, std::memory_order_release);
        light_fence(true);
        pause_between();
        return in_pool_list.load(std::memory_order_relaxed);
#else
        bool seen = in_pool_list.load(std::memory_order_relaxed);
        pause_between();
        pushed.store(before + 1, std::memory_order_release);
        return seen;
#endif
    }
    bool publish_fenced() noexcept;
    bool extend(spare_chunks &) noexcept;
    std::atomic<chunk *> *spare_of(unsigned size, spare_chunks &) noexcept;
};

} // namespace pyattach
