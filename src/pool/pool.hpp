// References given back by threads that were not attached, waiting for one that is. One pool per interpreter.
//
// Each thread queues into a decref_queue of its own (decref_queue.hpp): `pushed`, how many it ever gave back, which
// only it writes; `taken`, how many of them came out, only drains write. The pool itself is one word, the head of a
// list of decref_queues that have something (a stack: pushed with one compare-and-swap, taken whole), and each
// decref_queue says whether it is pool_entry. So a thread whose decref_queue is pool_entry already shares nothing when
// it gives back:
//
//   give back:  write the gilstate_tstate;   pushed += 1;   [fence]   is pool_entry? done : settle
//   settle:     pool_entry = true (exchange);   was it false? put the decref_queue into the list
//   drain (one at a time, under a lock that nothing else needs):
//               take the list;   copy slots out;   taken += k;   something left? back into the list : delist
//   delist:     pool_entry = false (exchange);   [fence]   pushed == taken? done : settle, for the next drain
//
// Who gives back writes `pushed` and then looks at `pool_entry`; who unlists writes `pool_entry` and then looks at
// `pushed`. With a fence between the two on each side one of them sees the other (Dekker), so no reference is stranded;
// should both, the exchange lets one of them list. "Is there anything?" is a look at the head. Which fence, says
// decref_queue.hpp.
//
// The exchanges of `pool_entry` hand the list's link to and fro; the lock hands the drain's part of a decref_queue from
// one drain to the next.
#pragma once

#include "base/internal_lock.hpp"
#include "pool/decref_queue.hpp"

namespace pyattach {

class pool {
  public:
    // How many references one drain copies out at most before it releases them.
    static constexpr size_t largest_batch = 512;

    // All but the head of the list, which stays for whoever still knows the interpreter. With it go the decref_queues.
    struct data {
        internal_lock lock;
        decref_queue *decref_queues = nullptr;
        std::atomic<size_t> high_water{0};
        spare_chunks spares;
        // How much waits in the whole pool, for the question whether it is crowded: less what each thread has pushed
        // since it last added to this, some hundreds, or, after a burst, no more than what waited then. May be below 0.
        std::atomic<int64_t> waiting{0};
        // One drain that Python itself was asked for may be on its way.
        std::atomic<bool> is_drain_scheduled{false};
        bool is_given_up = false; // in a fork child, until it is in order again
        ~data();
    };
    explicit pool(data &its) noexcept : data_(&its) {}

    bool is_empty() const noexcept { return head_.load(std::memory_order_relaxed) <= closed; }
    size_t size() noexcept;
    size_t high_water() noexcept;

    // So much waits in the whole pool that it is time to drain. Asked of the pool, not of a part: threads that each
    // leave little behind fill it, too.
    static constexpr int64_t high_water_mark = 2 * chunk::most;

    // NULL: no memory.
    decref_queue *add_queue() noexcept;
    // The thread ends. What it gave back stays. True: the pool is crowded.
    bool orphan(decref_queue &) noexcept;

    enum class outcome { queued, crowded, refused };
    // Crowded: queued, and so much waits; said now and then. Refused: closed, or no memory.
    outcome push(decref_queue &queue, object *reference) noexcept {
        if (!queue.is_ready())
            return push_fenced(queue, reference);
        return queue.push_plainly(reference) ? outcome::queued : enlist(queue);
    }
    // Its parts, for whoever wants no call in the fast_record case.
    outcome push_fenced(decref_queue &, object *reference) noexcept;
    outcome enlist(decref_queue &) noexcept;
    // Counted only by a thread with a participant.
    outcome push_single(object *, bool is_counted) noexcept;

    // Copies up to `most` references out, oldest of each thread first, for the caller to release. `own`: this thread's
    // decref_queue, which needs no fence; or NULL.
    size_t take(object **references, size_t most, const decref_queue *own) noexcept;
    // Refuses from now on; returns how many references were waiting. They are leaked.
    size_t close() noexcept;

    // See the data.
    std::atomic<bool> &is_drain_scheduled() noexcept { return data_->is_drain_scheduled; }

    // Around fork(), held: no drain has a decref_queue in its hands. In the child: what other threads were about to
    // list.
    void hold() noexcept { data_->lock.hold(); }
    void let_go() noexcept { data_->lock.let_go(); }
    // True: a thread that is not there had borrowed the lock, so all decref_queues are given up, and the pool begins
    // anew.
    bool restart() noexcept;
    bool is_given_up() const noexcept { return data_->is_given_up; }
    void relist() noexcept;
    // The thread is not there any more. Empty ones are freed by relist().
    void orphan_in_child(decref_queue &queue) noexcept { queue.is_orphan = true; }

  private:
    // Not a pointer: the pool is closed.
    static constexpr uintptr_t closed = 1;

    // Adds to what waits. True: the pool is crowded.
    bool add_waiting(uint64_t more) noexcept {
        const auto fresh = static_cast<int64_t>(more);
        return data_->waiting.fetch_add(fresh, std::memory_order_relaxed) + fresh >= high_water_mark;
    }
    bool list(pool_entry &) noexcept;
    pool_entry *take_list(uintptr_t leave_behind) noexcept;
    pool_entry *delist(decref_queue *emptied, const decref_queue *own, pool_entry *rest) noexcept;
    void unlink_and_free(decref_queue &) noexcept; // held
    void note_waiting(const pool_entry *all) noexcept;

    std::atomic<uintptr_t> head_{0};
    data *data_;
};

} // namespace pyattach
