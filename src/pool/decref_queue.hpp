// Decref queue: the references that one thread, the *owner*, gives back to one pool.
//
// Only the owner pushes. One *drain* at a time takes out, under the pool's lock. A push writes a slot, adds one to
// `pushed_`, and then reads whether the queue is in the pool's list. The drain does the reverse: it takes the queue off
// the list, and then reads `pushed_` (pool.hpp). Each side needs a fence between its two steps. A full fence would be
// most of a push. A fence that the drain makes for both (heavy_fence, see fence.hpp) would add a microsecond to each
// attach that finds a few references. So there are two modes, and a step between them:
//   - *fenced*, the usual mode: a push is an exchange, and both sides use sequentially consistent operations.
//   - *plain*, while much waits: a push is plain stores. The drain makes all running threads execute a fence after it
//     took the queue off the list, unless the drain runs on the owner itself. This is an asymmetric fence (P1202).
//
// The mode, which the owner alone changes (`is_plain_`, `plain_end_`):
//
//                  so much waits that a                  the next push,
//                  heavy fence costs nothing beside      which is still
//                  the release: announced                fenced
//        fenced --------------------------> becoming_plain -----------> plain
//          ^                                       |                      |
//          +---------------------------------------+----------------------+
//                        a push found the queue outside the list
//
// The fenced push between the announcement and the first plain push is needed. A drain that takes the queue off the
// list and then reads "not plain" precedes the announcement in the single order of sequentially consistent operations.
// So the fenced push after the announcement reads that removal from the list, or a later value; and by coherence so
// does each later push, plain or not. Becoming fenced needs no order of its own, because the owner's exchange of
// `in_pool_list_` follows. If a drain's exchange reads from that one, it provides the order. If the drain's exchange
// came before it, the owner puts the queue into the list itself.
//
// The place (`in_pool_list_`, `is_orphan_`):
//
//                        enter_list: by the owner after a push, or by a drain
//        outside -------------------------------------------------------> in the list
//          |     <-------------------------------------------------------     |
//          |             leave_list: by a drain that emptied the queue         | orphan:
//          | orphan:     or by the closing of the pool                         | the owner ended
//          | the owner                                                         v
//          | ended                                                          orphaned, in the list
//          v                                                                   |
//        freed <---------------------------------------------------------------+
//                        leave_list: by the drain or the closing that found it empty
//
// "In the list" includes the time in which a drain holds the queue under the pool's lock, and the time between
// enter_list and the compare-and-swap that links the queue. If that fails because the pool is closed, the owner calls
// leave_closed_pool. In a fork child a queue is orphaned in either place.
//
// The release store of `pushed_` publishes the slots. The acquire load of `pushed_` by a drain precedes its reads of
// the slots.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpython/table.hpp"
#include "platform/fence.hpp"

namespace pyattach {

// What a pool's list holds: a queue, or one reference for which there was no queue.
struct pool_entry {
    pool_entry *next;
    object *single; // NULL: the entry is a queue
};
struct single_entry : pool_entry {
    bool is_counted; // in pool::data::waiting
};

// A link of a queue's chain of memory. The slots follow it.
struct chunk {
    static constexpr size_t fewest = 61; // with this head and the allocator's word, half a KiB
    static constexpr unsigned sizes = 6; // each twice the size before
    static constexpr size_t most = fewest << (sizes - 1);
    chunk *next;
    unsigned size;
    object **begin() noexcept { return reinterpret_cast<object **>(this + 1); }
    object **end() noexcept { return begin() + (fewest << size); }
};

// Emptied chunks of a pool, so that a burst as large as the one before need not allocate: one of each size, 15 KiB in
// all. The smallest size is kept by each queue for itself, and the largest is not kept.
struct spare_chunks {
    std::atomic<chunk *> of_size[chunk::sizes - 1] = {};
    ~spare_chunks();
};

struct decref_queue : pool_entry {
    enum class push_mode { fenced, becoming_plain, plain };
    // What a push still needs after its inline part.
    enum class unfinished {
        nothing,
        listing, // the reference was pushed, and the queue is outside the list
        all,     // nothing was done: the mode is not plain, or the chunk is full
    };

    // NULL: no memory.
    static decref_queue *make() noexcept;
    static void destroy(decref_queue *queue) noexcept;

    uint64_t waiting() const noexcept {
        return pushed_.load(std::memory_order_acquire) - taken_.load(std::memory_order_relaxed);
    }

    // By the owner:

    unfinished push_plain(object *reference) noexcept {
        if (__builtin_expect(next_push_ >= plain_end_, 0))
            return unfinished::all;
        *next_push_++ = reference;
        return __builtin_expect(publish_plain(), 1) ? unfinished::nothing : unfinished::listing;
    }
    enum class fenced_push { in_list, outside, no_memory };
    // In any mode. `is_count_due`: it is time to add take_uncounted() to the pool's count. No memory: nothing was done.
    fenced_push push_fenced(object *reference, spare_chunks &spares, bool &is_count_due) noexcept;
    push_mode mode() const noexcept {
        return plain_end_                                  ? push_mode::plain
               : is_plain_.load(std::memory_order_relaxed) ? push_mode::becoming_plain
                                                           : push_mode::fenced;
    }
    void become_fenced() noexcept {
        plain_end_ = nullptr;
        is_plain_.store(false, std::memory_order_relaxed);
    }
    // The closed pool did not link the queue. Undoes the last push, unless a drain or the closing took the reference
    // before. Under the pool's lock. Returns whether the push was undone.
    bool leave_closed_pool() noexcept;
    // How many references the pool's count does not include yet. From now on it does. By the owner, or after its end.
    uint64_t take_uncounted() noexcept {
        const uint64_t all = pushed_.load(std::memory_order_relaxed), uncounted = all - counted_;
        counted_ = all;
        return uncounted;
    }

    // By the owner or a drain. True: the queue was outside, and the caller links it.
    bool enter_list() noexcept { return !in_pool_list_.exchange(true, std::memory_order_seq_cst); }

    // By a drain or the closing of the pool, under the pool's lock:

    // True: pushes may be plain, so a heavy fence has to precede is_empty_outside, unless the caller is the owner.
    bool leave_list() noexcept {
        in_pool_list_.exchange(false, std::memory_order_seq_cst);
        return is_plain_.load(std::memory_order_seq_cst);
    }
    // After leave_list and the fence. False: the queue holds a push after which the owner may have read that the queue
    // was in the list still.
    bool is_empty_outside() const noexcept {
        return pushed_.load(std::memory_order_seq_cst) == taken_.load(std::memory_order_relaxed);
    }
    // Copies up to `most` references out, oldest first.
    size_t take(object **references, size_t most, spare_chunks &spares) noexcept;
    // The owner ended. False: the queue is outside the list, and the caller frees it. True: the drain that empties it
    // frees it.
    bool orphan() noexcept {
        is_orphan_ = in_pool_list_.load(std::memory_order_relaxed);
        return is_orphan_;
    }
    bool is_orphan() const noexcept { return is_orphan_; }

    // In a fork child, which has one thread:

    // The owner is not in the child.
    void orphan_in_child() noexcept { is_orphan_ = true; }
    void set_place_in_child(bool is_in_list) noexcept { in_pool_list_.store(is_in_list, std::memory_order_relaxed); }

  private:
    bool publish_plain() noexcept {
        const uint64_t before = pushed_.load(std::memory_order_relaxed);
#ifndef PYATTACH_TEST_SWAPPED // a test shows that the other order fails
        pushed_.store(before + 1, std::memory_order_release);
        light_fence(true); // the light side of an asymmetric fence (P1202); delisting has the heavy side
        pause_between();
        return in_pool_list_.load(std::memory_order_relaxed);
#else
        bool was_in_list = in_pool_list_.load(std::memory_order_relaxed);
        pause_between();
        pushed_.store(before + 1, std::memory_order_release);
        return was_in_list;
#endif
    }
    bool publish_fenced() noexcept;
    void advance_mode() noexcept;
    bool extend(spare_chunks &spares) noexcept;
    std::atomic<chunk *> *spare_of(unsigned size, spare_chunks &spares) noexcept;

    // Written by the owner:
    object **next_push_ = nullptr; // the slot of the next push
    object **plain_end_ = nullptr; // the end of the slots for plain pushes; NULL: the mode is not plain
    std::atomic<uint64_t> pushed_{0};
    chunk *tail_ = nullptr;
    std::atomic<bool> is_plain_{false}; // announced; read by drains
    // Written by both sides:
    std::atomic<bool> in_pool_list_{false};
    // Written by the owner:
    uint64_t counted_ = 0; // how much of `pushed_` the pool's count includes
    // Written by the drain. On a cache line of its own, so that a running drain does not slow the owner down.
    alignas(64) std::atomic<uint64_t> taken_{0};
    object **next_take_ = nullptr;
    chunk *head_ = nullptr;
    std::atomic<chunk *> spare_{nullptr}; // an emptied chunk of the smallest size, which the owner uses again
    bool is_orphan_ = false;

  public:
    // The pool's links, under its lock:
    decref_queue *next_emptied = nullptr;                              // of those that one drain emptied
    decref_queue *next_in_pool = nullptr, *previous_in_pool = nullptr; // of all queues of the pool
};

} // namespace pyattach
