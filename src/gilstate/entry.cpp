// Entry: the stack of what routed code has open on a thread.
#include "gilstate/entry.hpp"

#include <cstdlib>
#include <new>

#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "gilstate/misrouted.hpp"

namespace pyattach {

void forget_routing(thread &ended) noexcept {
    gilstate::routing *own = ended.routing;
    ended.routing = nullptr;
    if (!own)
        return;
    if (own->has_ticket)
        end_hold(own->ticket);
    while (own->top)
        gilstate::pop(*own);
    std::free(own);
}

namespace gilstate {

thread_state *attached_tstate(const thread *me) noexcept {
    thread_state *tstate = current_tstate();
    const entry *top = top_of(me);
    if (tstate || !top || top->kind != kind::foreign || is_stranded())
        return tstate;
    return cpython::python().current() == top->tstate ? top->tstate : nullptr;
}

routing *own_routing(thread &me) noexcept {
    void *memory = me.routing ? nullptr : std::malloc(sizeof(routing));
    if (memory)
        me.routing = new (memory) routing;
    return me.routing;
}

entry *push_slow(thread &me, const void *caller) noexcept {
    routing *own = own_routing(me);
    if (own && own->has_room())
        return &push_first(*own, caller);
    if (own && own->allocated + first_entries >= most_entries)
        too_many(*own->top);
    void *memory = own ? std::malloc(sizeof(entry)) : nullptr;
    if (!memory)
        return nullptr;
    auto *made = new (memory) entry;
    made->kind = kind::changing;
    made->nested = 0;
    made->caller = caller;
    made->below = own->top;
    ++own->allocated;
    return own->top = made;
}

void pop_slow(routing &own) noexcept {
    entry *ended = own.top;
    own.top = ended->below;
    // They are still counted in the tstate, which is that of the entry below.
    (own.top ? own.top->nested : own.crossing) += ended->nested;
    if (own.allocated) {
        --own.allocated;
        std::free(ended);
    } else {
        own.next = ended;
    }
}

} // namespace gilstate
} // namespace pyattach
