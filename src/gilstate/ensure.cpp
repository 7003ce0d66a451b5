// Ensure: what PyGILState_Ensure and PyGILState_Release are routed to.
#include "gilstate/ensure.hpp"

#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "cpython/find.hpp"
#include "cpython/guarded.hpp"
#include "gilstate/misrouted.hpp"
#include "gilstate/refused.hpp"
#include "gilstate/ticket.hpp"
#include "lifecycle/registration.hpp"
#include "platform/kept_errno.hpp"
#include "scopes/forked.hpp"

namespace pyattach::gilstate {
namespace {

// The share of an entry where the place of the count is not known.
constexpr int counted_by_call = -1;

void release_by_call(int handle) noexcept {
    cpython::guarded([handle] { cpython::python().gilstate_release(handle); });
}

// How often `tstate` is counted; 0: that is not known.
int count_of(thread_state *tstate) noexcept {
    const unsigned counter_at = cpython::trusted.counter_at.load(std::memory_order_relaxed);
    return tstate && counter_at ? cpython::ensure_count(tstate, counter_at) : 0;
}

bool is_in_slot(const thread_state *tstate) noexcept { return cpython::python().gilstate_tstate() == tstate; }

// Counts a nested ensure in the current tstate, or the end of one. A tstate that CPython does not find is not counted
// where the place of the count is not known; the entry counts for itself.
void count_nested(thread_state *tstate) noexcept {
    if (count_of(tstate))
        ++cpython::ensure_count(tstate, cpython::trusted.counter_at.load(std::memory_order_relaxed));
    else if (is_in_slot(tstate))
        cpython::guarded([] { cpython::python().gilstate_ensure(); });
}
void count_end_of_nested(thread_state *tstate) noexcept {
    if (count_of(tstate))
        --cpython::ensure_count(tstate, cpython::trusted.counter_at.load(std::memory_order_relaxed));
    else if (is_in_slot(tstate))
        release_by_call(locked);
}

// On a thread that other code has attached: from now on it takes the fast path. The first time in an interpreter this
// registers it.
void get_ready(thread &me, thread_state *tstate) noexcept {
    if (this_thread.forbidden || is_python_out_of_order())
        return;
    lookup_or_register(me, tstate);
    cpython::trust_counter();
    if (me.current_at == &cpython::unknown)
        me.current_at = cpython::current_at();
}

// Counts the entry in its tstate, which is the current one.
void take_share(entry &made, thread_state *tstate) noexcept {
    made.tstate = tstate;
    made.counter = 0;
    unsigned counter_at = cpython::trusted.counter_at.load(std::memory_order_relaxed);
    if (!counter_at && is_in_slot(tstate)) {
        cpython::trust_counter();
        counter_at = cpython::trusted.counter_at.load(std::memory_order_relaxed);
    }
    if (counter_at) {
        made.counter = ++cpython::ensure_count(tstate, counter_at);
    } else if (is_in_slot(tstate)) {
        cpython::guarded([] { cpython::python().gilstate_ensure(); });
        made.counter = counted_by_call;
    }
}

// The share goes with the entry, which is on top. The tstate is the current one.
void give_share_back(const entry &ended) noexcept {
    if (ended.counter == counted_by_call)
        release_by_call(locked);
    else if (ended.counter > 0)
        --cpython::ensure_count(ended.tstate, cpython::trusted.counter_at.load(std::memory_order_relaxed));
}

int expected(const entry &attached) noexcept { return attached.counter + static_cast<int>(attached.nested); }

// The thread is not attached, although the top entry says so. Code that is not routed has detached it: for a gap of its
// own, or for good, by a release.
void check_released_elsewhere(const entry &top) noexcept {
    // The tstate in the slot exists.
    if (top.kind == kind::attached && top.counter > 0 && is_in_slot(top.tstate) && count_of(top.tstate) < expected(top))
        released_elsewhere(top);
}

// Whether CPython would let the thread go on. Later, releases come from threads whose scopes are over.
bool can_complain() noexcept {
    const cpython::table &py = cpython::python();
    return !this_thread.ended && cpython::is_found() && py.is_initialized() && !py.is_finalizing();
}

bool has_share_in(const entry &one, const thread_state *tstate) noexcept {
    return one.kind == kind::attached && one.tstate == tstate && one.counter > 0;
}

// What a release of a nested ensure takes back. Nested ensures have one handle, so any of them may be meant: the newest
// is taken.
struct nested_ensure {
    entry *owner = nullptr;       // NULL: it was made before the first entry, or by code that is not routed
    const entry *above = nullptr; // down from the top to this one, excluded, the entries have noted a count that has it
    bool is_counted = false;      // without an owner: the tstate counts it
};

nested_ensure find_nested(entry *top, const thread_state *tstate, int count) noexcept {
    const entry *oldest = nullptr;
    for (entry *one = top; one; one = one->below) {
        if (one->nested)
            return {one, one, true};
        if (!has_share_in(*one, tstate))
            continue;
        if (!oldest && count > one->counter) // code that is not routed has ensured since
            return {nullptr, top, true};
        oldest = one;
    }
    // A tstate has a count of its own, and the oldest entry one. The count of a tstate that was not kept went with it.
    return {nullptr, nullptr, oldest ? oldest->counter > 2 : count > 1};
}

void release_nested(thread *me, thread_state *tstate, const void *caller) noexcept {
    const int count = count_of(tstate);
    const nested_ensure released = find_nested(top_of(me), tstate, count);
    if (released.owner) {
        --released.owner->nested;
    } else {
        // Where the place of the count is not known, tstates are not kept.
        const bool is_crossing = me && me->routing && me->routing->crossing;
        if (is_crossing && !(count && released.is_counted)) {
            --me->routing->crossing;
            return;
        }
        if (count && !released.is_counted)
            unbalanced_release(caller);
    }
    for (entry *one = top_of(me); one != released.above; one = one->below)
        if (has_share_in(*one, tstate))
            --one->counter;
    count_end_of_nested(tstate);
}

// Whether the release is that of the top entry. False: it is CPython's.
bool is_of_top_entry(const entry &top, thread_state *tstate, const void *caller) noexcept {
    if (top.kind == kind::acquired)
        return top.tstate == tstate;
    if (top.kind != kind::attached)
        return false;
    if (top.tstate != tstate) {
        if (!tstate && can_complain() && is_in_slot(top.tstate)) {
            check_released_elsewhere(top);
            unbalanced_release(caller);
        }
        return true; // the scope is inert, or its end says what is wrong
    }
    if (top.counter <= 0)
        return true;
    const int count = count_of(tstate);
    if (count < expected(top))
        released_elsewhere(top);
    return count == expected(top);
}

// A release that is not of the top entry, on top of a gap.
void check_gap(const entry &gap, thread_state *tstate, const void *caller) noexcept {
    const entry *around = gap.below;
    if (!around || around->kind != kind::attached)
        return;
    if (!tstate)
        release_in_gap(gap, caller);
    if (around->tstate == tstate && around->counter > 0 && count_of(tstate) == expected(*around))
        resumed_elsewhere(gap, caller);
}

} // namespace

void end_attached(thread &me) noexcept {
    entry &top = *me.routing->top;
    // Python code may run at the end of the scope, and put entries on top.
    top.kind = kind::changing;
    attached::end(top.attached);
    pop(*me.routing);
}

int ensure_entry(thread &me, const void *caller) {
    entry *made = push(me, caller);
    if (!made)
        no_python(caller, PYATTACH_NO_MEMORY);
    forked::take_python_as_it_is();
    const status why = attached::begin(made->attached);
    end_ticket(me);
    if (why) {
        pop(*me.routing);
        refuse_thread(why, !me.routing->top && me.top == &me.base, caller);
    }
    take_share(*made, current_tstate());
    made->kind = kind::attached;
    return unlocked;
}

namespace {

int ensure_unkept(const void *caller) {
    if (status missing = cpython::find())
        no_python(caller, missing);
    thread *me = own_record();
    if (!me)
        no_python(caller, PYATTACH_NO_MEMORY);
    thread_state *tstate = attached_tstate(me);
    entry *top = top_of(me);
    // Inside a forbidden scope no scope can begin, nor can one on top of a tstate that up to 3.11 CPython does not
    // find.
    const bool is_foreign = top && top->kind == kind::foreign && top->tstate == tstate;
    if (tstate && (is_in_slot(tstate) || this_thread.forbidden || is_foreign)) {
        if (is_in_slot(tstate))
            get_ready(*me, tstate);
        count_nested(tstate);
        me->ensured = tstate;
        if (top)
            ++top->nested;
        return locked;
    }
    if (top && !tstate)
        check_released_elsewhere(*top);
    return ensure_entry(*me, caller);
}

} // namespace

int ensure_slow(const void *caller) {
    const kept_errno kept;
    this_thread.retag();
    return keeping_record([caller] { return ensure_unkept(caller); });
}

void release_slow(int handle, const void *caller) noexcept {
    const kept_errno kept;
    const keep_record record_stays;
    thread *me = this_thread.record();
    thread_state *tstate = cpython::is_found() ? attached_tstate(me) : nullptr;
    entry *top = top_of(me);
    if (handle != locked && top && is_of_top_entry(*top, tstate, caller)) {
        // Code that counts for itself (cffi) attaches by a restore, and has counted before it.
        if (top->kind == kind::acquired && count_of(tstate) > 1)
            --cpython::ensure_count(tstate, cpython::trusted.counter_at.load(std::memory_order_relaxed));
        else if (top->kind == kind::acquired && !count_of(tstate))
            release_by_call(locked);
        else if (top->kind == kind::attached && tstate == top->tstate)
            give_share_back(*top);
        return end_attached(*me);
    }
    if (handle != locked && top && top->kind == kind::detached)
        check_gap(*top, tstate, caller);
    if (!tstate) {
        if (can_complain())
            unbalanced_release(caller);
        return;
    }
    if (handle == locked)
        return release_nested(me, tstate, caller);
    if (top && top->kind == kind::foreign && top->tstate == tstate)
        pop(*me->routing);
    release_by_call(handle);
}

} // namespace pyattach::gilstate
