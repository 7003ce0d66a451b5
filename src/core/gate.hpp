// The gate of one interpreter: which threads are inside. It closes when the interpreter ends.
//
// An entering thread writes the presence in its own participant, and then reads the gate's word. The finalizing thread
// writes the word, and then reads every participant. Each writes one word and reads the other, so each side needs a
// full fence between the two steps, or both could read the old value (Dekker). Threads enter and leave millions of
// times, and the gate closes once. So the finalizing thread provides both fences with membarrier(2), which makes every
// running thread of the process execute one. This is an asymmetric fence (P1202). Entering costs one store, one load
// and a compiler barrier, all in memory that no other thread writes.
//
//   enter:  presence = attached;  [compiler barrier]   word is not closed? enter : presence = as before, refused
//   close:  word = closed;        [membarrier]         is any participant inside? wait
//   leave:  presence = outside;   [compiler barrier]   word is open? done : wake the finalizing thread
//   wait:   under the lock { is any participant inside? read `left` }   sleep on `left`
//   wake:   under the lock { change `left` }                            wake
//
// Entering: membarrier orders the finalizing thread's store before any later load of the entering thread, or the
// entering thread's earlier store before the finalizing thread's loads. In the first case the entering thread reads
// that the gate is closed, and in the second the finalizing thread reads the presence. Leaving is the same pair, so no
// wake-up is lost. The presence is stored with release and read with acquire, so what the thread did inside happens
// before the finalizing thread continues.
//
// `held` comes before `closed` and lets threads in as `open` does. Nothing is read between the two that a thread
// announces, so the step to `held` needs no argument of this kind; holds are counted under a lock (hold.hpp).
#pragma once

#include <atomic>
#include <cstdint>

#include "base/internal_lock.hpp"
#include "base/list.hpp"
#include "core/participant.hpp"
#include "platform/fence.hpp"

namespace pyattach {

// A thread that is inside, as messages show it.
struct inside_thread {
    pid_t id;
    char label[64]; // "": it has none
};
void copy_label(const char *label, char (&copy)[64]) noexcept;

class gate {
  public:
    // The states of the gate. The finalizing thread takes each step, except that a registration that comes too late may
    // end the gate on another thread. A step back, or one that was taken before, changes nothing.
    //
    //     open ------> held ------> closed ------> sealed ------> ended ------> cleared
    //        \  hold_open()  close()        seal()         end()        clear()
    //         \--------------------------------------------^
    //           end(): the exit hook could not be registered in time, or CPython never called it
    //
    //   open     threads may enter
    //   held     the end has begun, so no hold may begin any more (hold.hpp); while there are any, threads may enter
    //   closed   no thread may enter; a thread that is detached inside may still re-attach
    //   sealed   a detached thread may not re-attach either; the finalizing thread waits only for attached threads
    //   ended    CPython finalizes the interpreter; the finalizing thread's scopes are inert
    //   cleared  CPython has cleared the interpreter, and its address may name another one; all scopes are inert
    enum state : uint32_t { open, held, closed, sealed, ended, cleared };

    // Freed with the last reference to the interp_data. The word outlives it, for handles and scopes that name the
    // interpreter.
    struct data {
        list<participant, &participant::next, &participant::previous> participants;
        internal_lock lock;
        futex::word left{0}; // how often a thread left while the gate was not open, or gave its participant up
    };
    explicit gate(data &own_data) noexcept : data_(&own_data) {}

    state now() const noexcept { return static_cast<state>(word_.load(std::memory_order_acquire)); }
    bool is_ended() const noexcept { return word_.load(std::memory_order_relaxed) >= ended; }

    // Announces that the thread attaches. `before`: its presence so far. False: the gate is closed, and the presence
    // is `before` again. (`held` costs the fast path nothing: the word is compared with one instead of zero.)
    bool enter(participant &self, presence before = presence::outside,
               bool is_asymmetric = fences_are_asymmetric) noexcept {
        return __builtin_expect(announce(self, presence::attached, is_asymmetric) < closed, 1) ||
               (refuse(self, before), false);
    }
    // Announces that the thread re-attaches at the end of a detached scope. False: the gate is sealed, and the presence
    // is outside.
    bool reenter(participant &self, bool is_asymmetric = fences_are_asymmetric) noexcept {
        return __builtin_expect(announce(self, presence::attached, is_asymmetric) < sealed, 1) ||
               (refuse(self, presence::outside), false);
    }
    // Announces that the thread has detached. `after`: its presence from now on, which is detached in a detached scope,
    // and at the end of an attached one what it was at the begin.
    void leave(participant &self, presence after, bool is_asymmetric = fences_are_asymmetric) noexcept {
        if (__builtin_expect(announce(self, after, is_asymmetric) != open, 0))
            wake();
    }

    // Around fork(), as internal_lock.hpp defines hold, release_hold and restart. In the child the list of participants
    // is emptied without reading it, and the participants that exist in the child are put back.
    void hold() noexcept { data_->lock.hold(); }
    void release_hold() noexcept { data_->lock.release_hold(); }
    // True: a thread that is not in the child had borrowed the lock, so the list of participants may be half written.
    bool restart() noexcept { return data_->lock.restart(); }
    void empty() noexcept { data_->participants.forget_all(); }
    void put_back(participant &member) noexcept { data_->participants.push_front(member); }

    void add(participant &) noexcept;
    void remove(participant &) noexcept;
    // In a fork child, before empty(). Whether no thread was inside at the fork but that of `self`, and the one with
    // this native id (0: none).
    bool is_empty_but_for(const participant *self, pid_t native_id) const noexcept;
    // In a fork child, before empty(). Whether this is the warm tstate of a participant here, or one that the thread
    // with this native id has attached with.
    bool has_tstate(const cpython::thread_state *tstate, pid_t native_id) const noexcept;
    // The native id of another thread whose warm tstate this is, unless that thread is detached inside, where it may
    // have lent the tstate to this one. 0: there is none.
    pid_t owner_of(const cpython::thread_state *tstate) noexcept;
    // Whether a thread that has not ended, and has a participant here, has this ident. Under the registry's lock.
    bool has_ident(thread_ident ident) noexcept;

    // The finalizing thread's side.
    void hold_open() noexcept { advance(held); }
    void close() noexcept { advance(closed); }
    void seal() noexcept { advance(sealed); }
    void end() noexcept { advance(ended); }
    void clear() noexcept { word_.store(cleared, std::memory_order_release); }
    // In a fork child that does not have the finalizing thread: the end was the parent's. No other thread can enter.
    void forget_end() noexcept { word_.store(open, std::memory_order_relaxed); }
#ifdef PYATTACH_TEST_PAUSE // for a test
    void reopen() noexcept;
#endif
    // Waits until no participant but `except` is inside (`attached_only`: is attached), or until `deadline_ns` of the
    // monotonic clock. Returns how many still are.
    unsigned wait(const participant *except, bool attached_only, int64_t deadline_ns) noexcept;
    // At the limit of a wait: how many participants but `except` are attached. A thread that the gate refuses is
    // announced for a moment, too. It is not counted: after that moment it needs the lock, which this holds until no
    // thread is attached, for 20 ms at most.
    unsigned count_attached(const participant *except) noexcept;
    // The threads that are attached, but that of `except`, as the kernel sees them.
    struct attached_threads {
        unsigned count;
        bool all_sleep; // the kernel says so of each
        int64_t cpu_ns; // if they do: the processor time of all
    };
    attached_threads look_at_attached(const participant *except) noexcept;
    // Writes which threads are inside but that of `except`, at most `most`, and returns how many it wrote.
    unsigned list_inside(const participant *except, inside_thread *threads, unsigned most) noexcept;

    // The label of a scope of the calling thread's, which the finalizing thread may be reading, so both are done under
    // the lock: once clear_label returns, the string may be freed. False: the thread has a label already, which stays.
    bool set_label(participant &self, const char *label) noexcept;
    void clear_label(participant &self) noexcept;
    // Copies the label of a participant that cannot be freed meanwhile. `limit_ns` negative: waits for the lock without
    // a limit. False: the lock could not be locked within this time.
    bool copy_label_of(const participant &member, char (&copy)[64], int64_t limit_ns) noexcept;

  private:
    // Writes the presence, and then reads the word. The argument at the head of this file needs this order.
    uint32_t announce(participant &self, presence after, [[maybe_unused]] bool is_asymmetric) noexcept {
#ifndef PYATTACH_TEST_SWAPPED // a test shows that the other order fails
        self.presence_now.store(after, std::memory_order_release);
        light_fence(is_asymmetric);
        pause_between();
        return word_.load(std::memory_order_relaxed);
#else
        uint32_t seen = word_.load(std::memory_order_relaxed);
        pause_between();
        self.presence_now.store(after, std::memory_order_release);
        return seen;
#endif
    }

    void advance(state to) noexcept;
    void refuse(participant &self, presence before) noexcept;
    void wake() noexcept;
    unsigned count(const participant *except, bool attached_only) const noexcept;

    std::atomic<uint32_t> word_{open};
    data *data_;
};

} // namespace pyattach
