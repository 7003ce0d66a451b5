// Participant: the presence of one thread in one interpreter, its warm tstate there, and its decref queue.
//
// Memory is expensive to allocate on a thread that has just begun. So a participant goes from thread to thread. It
// stays in the gate meanwhile, with the presence `outside`:
//
//            find_or_make_participant            retire, and it has a warm tstate
//      vacant ----------------------> taken ---------------------------------------> orphaned
//        ^  ^                           |                                               |
//        |  +---------------------------+                                               |
//        |     retire, and it has none                                                  |
//        +------------------------------------------------------------------------------+
//                  a later thread, or the end of the interpreter, has deleted the tstate
//
// The lists of orphaned and of vacant participants are in the interpreter's interp_data, under the registry's lock.
// Each participant counts as a reference to the interp_data, under the same lock.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/presence.hpp"
#include "core/thread.hpp"
#include "cpython/table.hpp"
#include "platform/native_thread.hpp"

namespace pyattach {

struct decref_queue;

struct participant {
    std::atomic<presence> presence_now; // written by the thread, read by the finalizing thread
    bool is_taken;                      // by a thread that has not ended; under the registry's lock, as is `ident`
    bool is_temporary;                  // the library made `last_tstate` for one scope, which is open
    bool is_hook_due;                   // the thread hook is called at the next attach with the warm tstate
    pid_t native_id;
    interpreter *interp;
    cpython::thread_state *warm_tstate; // made by the library for the thread, and kept between attaches
    cpython::thread_state *last_tstate; // the one that the thread was attached with last
    thread_ident ident;
    decref_queue *queue;          // what the thread gives back to this interpreter while it is not attached
    participant *next_of_thread;  // taken: the thread's next participant; else the next one in the same list
    participant *next, *previous; // in the gate, under its lock
    const char *label;            // of a scope that is open; written by the thread, under the gate's lock
};
// What a thread costs besides CPython's tstate, with the allocator's two words each.
static_assert(sizeof(void *) != 8 || sizeof(thread) + sizeof(participant) + 32 <= 512);
// In no gate, and with an address for a warm tstate that is no tstate's: see thread::fast_participant.
extern participant no_participant;

// gate::owner_of may read it meanwhile.
inline void set_warm_tstate(participant &self, cpython::thread_state *tstate) noexcept {
    __atomic_store_n(&self.warm_tstate, tstate, __ATOMIC_RELAXED);
}

// The thread attaches with a tstate that is not its warm one: one of other code's, or one of a scope further out. If
// the library made it for that scope, it stays temporary.
inline cpython::thread_state *use_unowned_tstate(participant &self, cpython::thread_state *tstate) noexcept {
    self.is_temporary = self.is_temporary && self.last_tstate == tstate;
    return self.last_tstate = tstate;
}

// Participants that no thread uses. Under the registry's lock, but `count` may be read without it.
struct participant_list {
    participant *first = nullptr;
    std::atomic<uint32_t> count{0};

    void add(int participants) noexcept {
        count.store(count.load(std::memory_order_relaxed) + static_cast<uint32_t>(participants),
                    std::memory_order_relaxed);
    }
};
// Twice as many as the reaper deletes in a batch where Python is not free-threaded. That is 1.2 KB per interpreter.
constexpr uint32_t most_vacant_participants = 16;

// for (participant &member : participants_of(me)): those of one thread, the newest first. NULL: none.
class participants_of {
  public:
    explicit participants_of(const thread *me) noexcept : first_(me ? me->participants : nullptr) {}
    explicit participants_of(const thread &me) noexcept : first_(me.participants) {}

    class iterator {
      public:
        explicit iterator(participant *at) noexcept : at_(at) {}
        participant &operator*() const noexcept { return *at_; }
        iterator &operator++() noexcept {
            at_ = at_->next_of_thread;
            return *this;
        }
        bool operator!=(const iterator &other) const noexcept { return at_ != other.at_; }

      private:
        participant *at_;
    };
    iterator begin() const noexcept { return iterator(first_); }
    iterator end() const noexcept { return iterator(nullptr); }

  private:
    participant *first_;
};

// The thread's participant in the interpreter; NULL: it has none. `me` NULL: a thread without a record.
participant *find_participant(const thread *me, const interpreter &interp) noexcept;
// This thread's participant in the interpreter. The first call takes a vacant one or makes one. NULL: no memory, or the
// interpreter is cleared.
participant *find_or_make_participant(thread &me, interpreter &interp) noexcept;
// Whether a scope that this participant's gate binds is open on the thread, or may be.
bool is_in_use(const thread &me, const participant &self) noexcept;

// Takes a participant out of its thread's list; `link` names it there. A reader (thread_list.hpp) may stand on it: it
// keeps its link until retire() has locked the registry. Release: a reader that comes from the link before reads what
// the thread wrote in the participant after it.
inline void unlink_of_thread(participant *&link, const participant &member) noexcept {
    __atomic_store_n(&link, member.next_of_thread, __ATOMIC_RELEASE);
}
// The thread has left the gate and gives the participant up. The participant becomes vacant, or orphaned until its warm
// tstate is deleted.
void retire(participant &ended) noexcept;

// Under the registry's lock:
void push_locked(participant_list &list, participant &member) noexcept;
participant *take_all_locked(participant_list &list) noexcept;
// Moves the participants that `is_wanted` selects to the head of another list, which may be on the caller's stack.
// Returns how many it moved.
inline int move_locked(participant *&from, participant *&to, bool (*is_wanted)(const participant &) noexcept) noexcept {
    int moved = 0;
    for (participant **link = &from; participant *member = *link;) {
        if (!is_wanted(*member)) {
            link = &member->next_of_thread;
            continue;
        }
        *link = member->next_of_thread;
        member->next_of_thread = to;
        to = member;
        ++moved;
    }
    return moved;
}
// Calls `action` for each participant. It may put the participant into another list.
inline void for_each_locked(participant *list, void (*action)(participant &) noexcept) noexcept {
    while (participant *member = list) {
        list = member->next_of_thread;
        action(*member);
    }
}
// The participant has neither a thread nor a tstate any more. Keeps it as a vacant one. If there are enough of these,
// or the gate is ended, frees it, and the interp_data with the last reference.
void vacate_locked(participant &member) noexcept;
// The participant has no thread any more. Keeps it as an orphaned one if its warm tstate exists still, else as
// vacate_locked does.
void await_reaper_locked(participant &member) noexcept;

} // namespace pyattach
