// The gate of one interpreter: who is inside; closes when the interpreter ends.
//
// A thread announces itself in a participant of its own and then looks at the gate's word; the closing side writes the
// word and then looks at every participant. Each writes one and reads the other, so each side needs a full fence
// between the two, or both could miss the other (Dekker). Threads come and go millions of times, the gate closes once:
// so the closing side pays for both with membarrier(2), which makes every running thread of the process pass a fence,
// and entering costs one store, one load and a compiler barrier, all in memory that no other thread writes.
//
//   enter:  participant = inside;   [compiler barrier]   word is open? in : participant = outside, refused
//   close:  word = closed;   [membarrier]         any participant inside? wait
//   leave:  participant = outside;  [compiler barrier]   word is open? done : wake the closer
//   wait:   under the lock {any participant inside? read the word to sleep on}; sleep; who wakes changes it under the
//   lock
//
// Entering: membarrier orders the closer's store before any later load of the entering thread, or the entering thread's
// earlier store before the closer's loads. In the first case the thread sees the word closed, in the second the closer
// sees the participant. Leaving is the same pair, so no wake-up is lost. The participant is stored with release and
// read with acquire: what the thread did inside has happened before the closer goes on.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/internal_lock.hpp"
#include "core/participant.hpp"
#include "platform/fence.hpp"

namespace pyattach {

class gate {
  public:
    // One life of the interpreter. The finalizing thread takes each step; a step back, or one that was taken already,
    // changes nothing.
    //
    //     open ------> closed ------> sealed ------> ended ------> cleared
    //        \  close()        seal()         end()        clear()
    //         \-------------------------------^
    //           end(): the exit hook could not be registered in time, or was thrown away
    //
    //   open     threads enter
    //   closed   none enters; one that was detached inside may still come back
    //   sealed   nor does one that was detached: only those that are attached are waited for
    //   ended    CPython finalizes the interpreter; scopes inside are inert
    //   cleared  CPython has cleared it, and its address may name another one
    enum state : uint32_t { open, closed, sealed, ended, cleared };

    // All but the word. Freed with the last participant, while the word stays for handles and scopes that name the
    // interpreter.
    struct data {
        participant *participants = nullptr;
        internal_lock lock;
        futex::word left{0}; // how often a thread left while the gate was not open, or for good
    };
    explicit gate(data &own_data) noexcept : data_(&own_data) {}

    state now() const noexcept { return static_cast<state>(word_.load(std::memory_order_acquire)); }
    bool is_ended() const noexcept { return word_.load(std::memory_order_relaxed) >= ended; }

    // Announces the thread, whose presence was `before`. False: the gate is not open, and the presence is `before`
    // again.
    bool enter(participant &self, presence before = presence::outside,
               bool is_asymmetric = fences_are_asymmetric) noexcept {
        return __builtin_expect(announce(self, presence::attached, is_asymmetric) == open, 1) ||
               (refuse(self, before), false);
    }
    // Announces the thread at the end of a detached scope. False: the gate is sealed, and the presence is outside.
    bool reenter(participant &self, bool is_asymmetric = fences_are_asymmetric) noexcept {
        return __builtin_expect(announce(self, presence::attached, is_asymmetric) < sealed, 1) ||
               (refuse(self, presence::outside), false);
    }
    // The presence from now on: outside or detached.
    void leave(participant &self, presence after, bool is_asymmetric = fences_are_asymmetric) noexcept {
        if (__builtin_expect(announce(self, after, is_asymmetric) != open, 0))
            wake();
    }

    // Around fork(). In the child the list of participants is not read: the participants that are there are put back.
    void hold() noexcept { data_->lock.hold(); }
    void let_go() noexcept { data_->lock.let_go(); }
    // True: a thread that is not there had borrowed the lock, so the list of participants may be half written.
    bool restart() noexcept { return data_->lock.restart(); }
    void empty() noexcept { data_->participants = nullptr; }
    void put_back(participant &) noexcept;

    void add(participant &) noexcept;
    void remove(participant &) noexcept;
    // In a fork child, before it is restarted: nobody but `mine` is inside. Then, whether a state is kept by a
    // participant here.
    bool is_empty_but_for(const participant *self) const noexcept { return count(self, false) == 0; }
    bool has_warm(const cpython::thread_state *tstate) const noexcept;
    // Whether a thread that lives, and has a participant here, has this ident. Under the registry's lock.
    bool has_ident(thread_ident ident) noexcept;

    // The finalizing thread's side.
    void close() noexcept { advance(closed); }
    void seal() noexcept { advance(sealed); }
    void end() noexcept { advance(ended); }
    void clear() noexcept { word_.store(cleared, std::memory_order_release); }
#ifdef PYATTACH_TEST_PAUSE // a test's own
    void reopen() noexcept;
#endif
    // Waits until nobody but `except` is inside (`attached_only`: inside and attached), or until `deadline_ns` of the
    // monotonic clock. Returns how many still are.
    unsigned wait(const participant *except, bool attached_only, int64_t deadline_ns) noexcept;
    // Writes the native ids of threads inside, at most `most` of them; returns how many it wrote.
    unsigned list_inside(const participant *except, pid_t *ids, unsigned most) noexcept;

  private:
    // Writes the participant, then looks at the word: the order that everything here rests on.
    uint32_t announce(participant &self, presence now, [[maybe_unused]] bool is_asymmetric) noexcept {
#ifndef PYATTACH_TEST_SWAPPED // where a test shows that the other order fails
        self.presence_now.store(now, std::memory_order_release);
        light_fence(is_asymmetric);
        pause_between();
        return word_.load(std::memory_order_relaxed);
#else
        uint32_t seen = word_.load(std::memory_order_relaxed);
        pause_between();
        self.presence_now.store(now, std::memory_order_release);
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
