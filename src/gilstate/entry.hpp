// Entry: what code that is routed to this library has open on a thread. Each open attach and each open gap is an entry
// in a stack of the thread, in the library's own storage, because CPython's functions leave the caller no room for a
// scope.
//
//      kind       made by                                        ended by
//      attached   an ensure on a thread that is not attached     its release
//      acquired   a restore of the thread's own tstate that      the next save of that tstate, or the release of
//                 was no way back from a gap                     code that counts for itself (cffi)
//      detached   a save                                         the restore of the same tstate
//      gap        a save that a detached scope refuses           the restore of the same tstate
//      foreign    a restore of any other tstate                  the next save of that tstate, or its deletion
//      changing   each of these, while it begins or ends         -
//
// CPython counts in each tstate how often an ensure holds it, and deletes a tstate whose count becomes 0. An attached
// entry counts once as well, so a release by code that is not routed does not delete the tstate of the entry; and the
// count, compared with `counter` and `nested`, says to which ensure a release belongs (release.hpp).
#pragma once

#include <type_traits>

#include "core/hold.hpp"
#include "scopes/attached.hpp"
#include "scopes/detached.hpp"

namespace pyattach::gilstate {

enum class kind : unsigned char { changing, attached, acquired, detached, gap, foreign };

struct entry {
    union {
        attached_scope attached;
        detached_scope detached;
    };
    thread_state *tstate = nullptr; // the one that is attached, or that was detached
    const void *caller = nullptr;   // where the call that made the entry returns to
    entry *below = nullptr;
    int counter = 0; // attached: the count of the tstate, with this entry's own share; 0: not known
    // How many nested ensures were routed while this entry was on top, or an entry that has ended since, and are not
    // released.
    unsigned nested = 0;
    gilstate::kind kind = kind::changing;

    entry() noexcept {}
};

// Four entries are enough for an attach, a gap in it, a callback in that and a gap there. Further ones are allocated.
constexpr unsigned first_entries = 4;
// So many entries mean that calls of routed code are paired with calls of code that is not.
constexpr unsigned most_entries = 10000;

struct routing {
    entry *top = nullptr; // NULL: nothing is open
    entry *next = first;  // where the next entry is made; the end of `first`: further ones are allocated
    unsigned allocated = 0;
    // How many nested ensures outlived all entries, at most. The tstate may have counted them, and then their releases
    // are not noted here.
    unsigned crossing = 0;
    bool has_ticket = false;
    hold ticket; // see ticket.hpp
    entry first[first_entries];

    bool has_room() const noexcept { return next != first + first_entries; }
};

// Puts an entry on top, which is `changing`.
inline entry &push_first(routing &own, const void *caller) noexcept {
    entry &made = *own.next++;
    made.kind = kind::changing;
    made.nested = 0;
    made.caller = caller;
    made.below = own.top;
    own.top = &made;
    return made;
}
// NULL: no memory.
entry *push_slow(thread &me, const void *caller) noexcept;
inline entry *push(thread &me, const void *caller) noexcept {
    if (__builtin_expect(!me.routing || !me.routing->has_room(), 0))
        return push_slow(me, caller);
    return &push_first(*me.routing, caller);
}
// Takes the top entry off.
void pop_slow(routing &own) noexcept;
inline void pop(routing &own) noexcept {
    entry *ended = own.top;
    if (__builtin_expect(ended->nested || own.allocated, 0))
        return pop_slow(own);
    own.top = ended->below;
    own.next = ended;
}
inline entry *top_of(const thread *me) noexcept { return me && me->routing ? me->routing->top : nullptr; }

// Whether the scope of `top`, the top entry, is the innermost one of its thread, or it has none. If not, a scope of
// this library was begun inside it.
inline bool is_innermost(const thread &me, const entry &top) noexcept {
    switch (top.kind) {
    case kind::attached:
    case kind::acquired:
        return me.top == &top.attached.frame;
    case kind::detached:
        return me.top == &top.detached.frame;
    default:
        return true;
    }
}

// The current tstate, if this thread is attached. Up to 3.11 current_tstate() does not know a tstate of other code's
// beside that of the GILState slot, and the top entry does.
thread_state *attached_tstate(const thread *me) noexcept;

// This thread's routing, which is made if there is none. NULL: no memory.
routing *own_routing(thread &me) noexcept;

// While one exists, a thread whose thread-exit hook has run keeps its record, and so its entries.
class keep_record {
  public:
    keep_record() noexcept : is_needed_(begin()) {}
    ~keep_record() { end(is_needed_); }
    keep_record(const keep_record &) = delete;
    keep_record &operator=(const keep_record &) = delete;

    static bool begin() noexcept {
        const bool is_needed = this_thread.ended;
        this_thread.drain_disabled += is_needed;
        return is_needed;
    }
    static void end(bool is_needed) noexcept {
        if (!is_needed)
            return;
        --this_thread.drain_disabled;
        if (thread *me = this_thread.record())
            discard_late_record(*me);
    }

  private:
    bool is_needed_;
};
// The same around a call in which the thread may be ended, and then unwinds: it keeps its record on the way out.
template <class Call> auto keeping_record(Call call) {
    const bool is_needed = keep_record::begin();
    if constexpr (std::is_void_v<decltype(call())>) {
        call();
        keep_record::end(is_needed);
    } else {
        auto result = call();
        keep_record::end(is_needed);
        return result;
    }
}

} // namespace pyattach::gilstate
