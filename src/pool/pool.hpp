// Pool: the references that threads gave back while they were not attached, until an attached thread releases them. An
// MPSC queue: many threads push, one drain at a time takes. One pool per interpreter.
//
// Each thread pushes into a queue of its own (decref_queue.hpp). `pushed`, how many references it ever pushed, is
// written by this thread, the owner, alone. `taken`, how many of them came out, is written by drains alone. The pool
// itself is one word, the head of a list of the queues that hold something (a stack: pushed with one compare-and-swap,
// taken whole), and each queue has a flag that says whether it is in the list. So a push into a queue that is in the
// list already writes nothing that threads share:
//
//   push:    write the slot;   pushed += 1;   [fence]   in_pool_list? done : enlist
//   enlist:  in_pool_list = true (exchange);   was it false? link the queue
//   drain (one at a time, under data::lock, which no push into an open pool takes):
//            take the list;   copy slots out;   taken += k;   something left? back into the list : delist
//   delist:  in_pool_list = false (exchange);   [fence]   pushed == taken? done : enlist, for the next drain
//
// A push writes `pushed` and then reads `in_pool_list`; delisting writes `in_pool_list` and then reads `pushed`. With a
// fence between the two steps on each side, at least one side reads what the other wrote (Dekker), so no reference is
// stranded. If both do, the exchange lets only one of them link the queue. Whether the pool is empty is one load of the
// head. Which fence it is, decref_queue.hpp says.
//
// The exchanges of `in_pool_list` pass the list's link on between owner and drain. The lock passes the drain's part of
// a queue on from one drain to the next.
#pragma once

#include "base/internal_lock.hpp"
#include "base/list.hpp"
#include "pool/decref_queue.hpp"

namespace pyattach {

class pool {
  public:
    // How many references one drain at most copies out before it releases them.
    static constexpr size_t largest_batch = 512;

    // Everything but the head of the list. Freed with the interpreter's interp_data, and the queues with it; the head
    // stays for threads that still hold a pointer to the interpreter.
    struct data {
        internal_lock lock;
        list<decref_queue, &decref_queue::next_in_pool, &decref_queue::previous_in_pool> decref_queues;
        std::atomic<size_t> high_water{0};
        spare_chunks spares;
        // How many references wait in the whole pool, to be compared with drain_threshold. It lacks what each thread
        // has pushed since it last added to this: some hundreds, or, after a burst, no more than what waited then. May
        // be below 0.
        std::atomic<int64_t> waiting{0};
        // A drain that CPython was asked to call may still come. At most one is asked for at a time.
        std::atomic<bool> is_drain_scheduled{false};
        bool is_given_up = false; // in a fork child, from restart() until relist()
        ~data();
    };
    explicit pool(data &pool_data) noexcept : data_(&pool_data) {}

    bool is_empty() const noexcept { return head_.load(std::memory_order_relaxed) <= closed; }
    // The same, sequentially consistent, as link() is: see core/housekeeping.hpp.
    bool is_empty_ordered() const noexcept { return head_.load(std::memory_order_seq_cst) <= closed; }
    size_t size() noexcept;
    size_t high_water() noexcept;

    // With so many references in the whole pool, it is time to schedule a drain. The pool is measured and not a queue,
    // because many threads that each leave a few references fill it, too.
    static constexpr int64_t drain_threshold = 2 * chunk::most;

    // NULL: no memory.
    decref_queue *add_queue() noexcept;
    // The queue's owner ended; its references stay. True: the pool is over the high-water mark.
    bool orphan(decref_queue &queue) noexcept;

    // Listed: queued, and the pool may have been empty before. Over mark: queued, perhaps listed, and the pool is over
    // the high-water mark, which is reported now and then. Refused: the pool is closed, or there is no memory.
    enum class outcome { queued, listed, over_mark, refused };
    using unfinished = decref_queue::unfinished;
    // By the owner. A caller whose fast path must not contain a call uses the two halves: decref_queue::push_plain, and
    // finish_push unless that left nothing.
    outcome push(decref_queue &queue, object *reference) noexcept {
        const unfinished step = queue.push_plain(reference);
        return __builtin_expect(step == unfinished::nothing, 1) ? outcome::queued : finish_push(queue, reference, step);
    }
    outcome finish_push(decref_queue &queue, object *reference, unfinished step) noexcept;
    // For a thread that can have no queue. `is_counted`: included in data::waiting, which only a thread with a
    // participant may do.
    outcome push_single(object *reference, bool is_counted) noexcept;

    // Copies up to `most` references out, those of each thread oldest first; the caller releases them. `own`: the
    // calling thread's queue, which needs no fence; or NULL.
    size_t take(object **references, size_t most, const decref_queue *own) noexcept;
    // Pushes are refused from now on. Returns how many references were waiting; they are leaked.
    size_t close() noexcept;

    std::atomic<bool> &is_drain_scheduled() noexcept { return data_->is_drain_scheduled; }

    // Around fork(): while the lock is held, no drain is taking references out.
    void hold() noexcept { data_->lock.hold(); }
    void release_hold() noexcept { data_->lock.release_hold(); }
    // In the child. True: a thread that is not in the child had borrowed the lock, so all queues are given up, and the
    // pool begins anew.
    bool restart() noexcept;
    bool is_given_up() const noexcept { return data_->is_given_up; }
    // In the child: puts each queue into the list that holds something, also those that other threads were about to put
    // there, and counts anew what waits.
    void relist() noexcept;
    // In the child: the queue's owner is not there. relist() frees the queue if it is empty.
    void orphan_in_child(decref_queue &queue) noexcept { queue.orphan_in_child(); }

  private:
    // A value of the head that is no pointer: the pool is closed.
    static constexpr uintptr_t closed = 1;

    // True: the pool is over the high-water mark.
    bool add_waiting(uint64_t more) noexcept {
        const auto added = static_cast<int64_t>(more);
        return data_->waiting.fetch_add(added, std::memory_order_relaxed) + added >= drain_threshold;
    }
    outcome enlist(decref_queue &queue) noexcept;
    bool link(pool_entry &entry) noexcept;
    pool_entry *take_list(uintptr_t new_head) noexcept;
    pool_entry *delist(decref_queue *emptied, const decref_queue *own, pool_entry *rest) noexcept;
    void unlink_and_free(decref_queue &queue) noexcept; // under the lock
    void note_waiting(const pool_entry *all) noexcept;

    std::atomic<uintptr_t> head_{0};
    data *data_;
};

} // namespace pyattach
