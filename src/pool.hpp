// References given back by threads that were not attached, waiting for one that is. One pool per interpreter.
//
// Each thread queues into a producer of its own (producer.hpp): `pushed`, how many it ever gave back, which only it
// writes; `taken`, how many of them came out, only drains write. The pool itself is one word, the head of a list of
// producers that have something (a stack: pushed with one compare-and-swap, taken whole), and each producer says
// whether it is listed. So a thread whose producer is listed already shares nothing when it gives back:
//
//   give back:  write the slot;   pushed += 1;   [fence]   is listed? done : settle
//   settle:     listed = true (exchange);   was it false? put the producer into the list
//   drain (one at a time, under a lock that nothing else needs):
//               take the list;   copy slots out;   taken += k;   something left? back into the list : unlist
//   unlist:     listed = false (exchange);   [fence]   pushed == taken? done : settle, for the next drain
//
// Who gives back writes `pushed` and then looks at `listed`; who unlists writes `listed` and then looks at `pushed`.
// With a fence between the two on each side one of them sees the other (Dekker), so no reference is stranded; should
// both, the exchange lets one of them list. "Is there anything?" is a look at the head. Which fence, says producer.hpp.
//
// The exchanges of `listed` hand the list's link to and fro; the lock hands the drain's part of a producer from one
// drain to the next.
#pragma once

#include "internal_lock.hpp"
#include "producer.hpp"

namespace pyattach {

class pool {
  public:
    // How many references one drain copies out at most before it releases them.
    static constexpr size_t largest_batch = 512;

    // All but the head of the list, which stays for whoever still knows the interpreter. With it go the producers.
    struct data {
        internal_lock lock;
        producer *producers = nullptr;
        std::atomic<size_t> high_water{0};
        spare_chunks spares;
        // How much waits in the whole pool, for the question whether it is crowded: less what each thread has pushed
        // since it last added to this, some hundreds, or, after a burst, no more than what waited then. May be below 0.
        std::atomic<int64_t> waiting{0};
        // One drain that Python itself was asked for may be on its way.
        std::atomic<bool> is_help_called{false};
        bool is_given_up = false; // in a fork child, until it is in order again
        ~data();
    };
    explicit pool(data &its) noexcept : data_(&its) {}

    bool is_empty() const noexcept { return head_.load(std::memory_order_relaxed) <= closed; }
    size_t size() noexcept;
    size_t high_water() noexcept;

    // So much waits in the whole pool that it is time to drain. Asked of the pool, not of a part: threads that each
    // leave little behind fill it, too.
    static constexpr int64_t crowd = 2 * chunk::most;

    // NULL: no memory.
    producer *add_producer() noexcept;
    // The thread ends. What it gave back stays. True: the pool is crowded.
    bool orphan(producer &) noexcept;

    enum class outcome { queued, crowded, refused };
    // Crowded: queued, and so much waits; said now and then. Refused: closed, or no memory.
    outcome push(producer &mine, object *reference) noexcept {
        if (!mine.is_ready())
            return push_fenced(mine, reference);
        return mine.push_plainly(reference) ? outcome::queued : settle(mine);
    }
    // Its parts, for whoever wants no call in the usual case.
    outcome push_fenced(producer &, object *reference) noexcept;
    outcome settle(producer &) noexcept;
    // Counted only by a thread with a participant.
    outcome push_single(object *, bool is_counted) noexcept;

    // Copies up to `most` references out, oldest of each thread first, for the caller to release. `own`: this thread's
    // producer, which needs no fence; or NULL.
    size_t take(object **references, size_t most, const producer *own) noexcept;
    // Refuses from now on; returns how many references were waiting. They are leaked.
    size_t close() noexcept;

    // See the data.
    std::atomic<bool> &is_help_called() noexcept { return data_->is_help_called; }

    // Around fork(), held: no drain has a producer in its hands. In the child: what other threads were about to list.
    void hold() noexcept { data_->lock.hold(); }
    void let_go() noexcept { data_->lock.let_go(); }
    // True: a thread that is not there had borrowed the lock, so all producers are given up, and the pool begins anew.
    bool restart() noexcept;
    bool is_given_up() const noexcept { return data_->is_given_up; }
    void relist() noexcept;
    // The thread is not there any more. Empty ones are freed by relist().
    void orphan_in_child(producer &one) noexcept { one.is_orphan = true; }

  private:
    // Not a pointer: the pool is closed.
    static constexpr uintptr_t closed = 1;

    // Adds to what waits. True: the pool is crowded.
    bool add_waiting(uint64_t more) noexcept {
        const auto fresh = static_cast<int64_t>(more);
        return data_->waiting.fetch_add(fresh, std::memory_order_relaxed) + fresh >= crowd;
    }
    bool list(listed &) noexcept;
    listed *take_list(uintptr_t leave_behind) noexcept;
    listed *unlist(producer *emptied, const producer *own, listed *rest) noexcept;
    void unlink_and_free(producer &) noexcept; // held
    void note_waiting(const listed *all) noexcept;

    std::atomic<uintptr_t> head_{0};
    data *data_;
};

} // namespace pyattach
