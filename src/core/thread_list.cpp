// Thread list: what each thread does with Python, as another thread can read it.
#include "core/thread_list.hpp"

#include "core/frames.hpp"
#include "core/interpreter.hpp"
#include "core/trace_session.hpp"
#include "cpython/layout.hpp"
#include "platform/memory.hpp"
#include "platform/ticks.hpp"

namespace pyattach {
namespace {

// What is read of one thread. Relaxed loads of aligned words: each is one that the thread has stored, and together they
// may be of two moments, which is noticed by reading twice.
struct reading {
    const thread_state *current; // as thread::current_at says
    bool is_current_known;       // the place is known
    frame *top;
    uint32_t nested_open;
    bool operator==(const reading &other) const noexcept {
        return current == other.current && top == other.top && nested_open == other.nested_open;
    }
};

// The thread writes these words with plain stores, on its fast paths, so they are read here without ThreadSanitizer's
// notice. Not inlined: what is inlined is sanitized as its caller is.
[[gnu::noinline, gnu::no_sanitize("thread")]] reading read(const thread &record) noexcept {
    thread_state *const *current_at = __atomic_load_n(&record.current_at, __ATOMIC_RELAXED);
    const bool is_known = current_at != &cpython::unknown;
    return {is_known ? __atomic_load_n(current_at, __ATOMIC_RELAXED) : nullptr, is_known,
            __atomic_load_n(&record.top, __ATOMIC_RELAXED), __atomic_load_n(&record.nested_open, __ATOMIC_RELAXED)};
}
[[gnu::noinline, gnu::no_sanitize("thread")]] participant *first_participant(const thread &record) noexcept {
    return __atomic_load_n(&record.participants, __ATOMIC_ACQUIRE);
}
[[gnu::noinline, gnu::no_sanitize("thread")]] participant *next_participant(const participant &member) noexcept {
    return __atomic_load_n(&member.next_of_thread, __ATOMIC_ACQUIRE);
}
[[gnu::noinline, gnu::no_sanitize("thread")]] interpreter *last_interp_of(const thread &record) noexcept {
    return __atomic_load_n(&record.last_interp, __ATOMIC_RELAXED);
}
[[gnu::noinline, gnu::no_sanitize("thread")]] bool has_tstate(const participant &member,
                                                              const thread_state *tstate) noexcept {
    return tstate && (tstate == __atomic_load_n(&member.warm_tstate, __ATOMIC_RELAXED) ||
                      tstate == __atomic_load_n(&member.last_tstate, __ATOMIC_RELAXED));
}
[[gnu::noinline, gnu::no_sanitize("thread")]] bool is_warm(const participant &member) noexcept {
    return __atomic_load_n(&member.warm_tstate, __ATOMIC_RELAXED) != nullptr;
}
// What is announced to an interpreter that is cleared does not count any more: all scopes in it are inert.
bool is_announced(const participant &member, presence as) noexcept {
    return member.presence_now.load(std::memory_order_acquire) == as && !member.interp->is_cleared();
}

template <class Condition> participant *find_in(const thread &record, Condition is_wanted) noexcept {
    for (participant *member = first_participant(record); member; member = next_participant(*member))
        if (is_wanted(*member)) // never unwound: it reads the participant
            return member;
    return nullptr;
}

// The top frame, as far as it can be read: with the tag 0 if it cannot.
frame copy_top(const thread &record, const reading &now) noexcept {
    frame copy = {};
    if (now.top == &record.base)
        copy.tag = tag::base;
    else if (!copy_unsure_memory(now.top, &copy, sizeof copy) ||
             (copy.tag != tag::attached && copy.tag != tag::detached))
        copy = {};
    return copy;
}

struct finding {
    pyattach_thread_state state;
    participant *member; // NULL: none is concerned
    bool by_other_code;
};

// Whether CPython says that the thread is attached. Up to 3.11 it says who holds the GIL, which is this thread if the
// tstate is one that a participant inside has attached it with.
bool is_attached(const thread &record, const reading &now, participant *&with) noexcept {
    with = find_in(record, [&now](const participant &member) noexcept {
        return is_announced(member, presence::attached) && has_tstate(member, now.current);
    });
    return with || (now.current && cpython::python().current_is_own);
}

// Whether the top scope is inert. Of its copy, which may be of other memory by now, no pointer is followed.
bool is_over(const thread &record, const frame &top) noexcept {
    const participant *of_top = find_in(
        record, [&top](const participant &member) noexcept { return top.participant && &member == top.participant; });
    return top.tag != tag::base && (top.inert || (of_top && of_top->interp->is_cleared()));
}

finding find_state(const thread &record, const reading &now, const frame &top) noexcept {
    participant *member;
    if (is_attached(record, now, member))
        return {PYATTACH_THREAD_IS_ATTACHED, member, false};
    if (is_over(record, top))
        return {PYATTACH_THREAD_IS_IDLE, first_participant(record), false};
    const auto announced = [&record](presence as) noexcept {
        return find_in(record, [as](const participant &member) noexcept { return is_announced(member, as); });
    };
    participant *inside = announced(presence::attached);
    if (top.tag != tag::attached && top.tag != tag::base && top.tag != tag::detached)
        // The frame cannot be read. If the thread waited, this would be known of the base frame alone.
        return inside ? finding{PYATTACH_THREAD_IS_DETACHED, inside, true}
                      : finding{PYATTACH_THREAD_IS_DETACHED, announced(presence::detached), false};
    // Only a scope that the gate binds changes the presence. In a detached scope of another one an attached scope may
    // begin, too.
    if (top.tag == tag::detached)
        return inside ? finding{PYATTACH_THREAD_IS_WAITING, inside, false}
                      : finding{PYATTACH_THREAD_IS_DETACHED, announced(presence::detached), false};
    if (top.tag == tag::base && inside)
        return {PYATTACH_THREAD_IS_WAITING, inside, false};
    const bool in_scope = top.tag == tag::attached;
    if (in_scope && now.is_current_known)
        return {PYATTACH_THREAD_IS_DETACHED, inside, true};
    // Where CPython's answer cannot be read, and of threads that other code attached up to 3.11, the scopes answer.
    const bool is_attached = in_scope || (now.nested_open && !cpython::python().current_is_own) ||
                             (now.nested_open && !now.is_current_known);
    if (is_attached)
        return {PYATTACH_THREAD_IS_ATTACHED, inside, false};
    if (now.nested_open)
        return {PYATTACH_THREAD_IS_DETACHED, nullptr, true};
    return {PYATTACH_THREAD_IS_IDLE, first_participant(record), false};
}

// False: a lock could not be locked.
bool look_at(const thread &record, listed_thread &to, int64_t limit_ns) noexcept {
    // A thread that changes its state again and again is read at most so often. The last reading is as good as others.
    constexpr int most_readings = 4;
    finding found;
    for (int readings = 0; readings < most_readings; ++readings) {
        const reading now = read(record);
        found = find_state(record, now, copy_top(record, now));
        if (read(record) == now)
            break;
    }
    to.native_id = record.native_id;
    to.state = found.state;
    to.by_other_code = found.by_other_code;
    to.interp = found.member ? found.member->interp : last_interp_of(record);
    to.is_warm = found.member && is_warm(*found.member);
    to.since = found.by_other_code ? 0 : record.since.load(std::memory_order_relaxed);
    to.label[0] = '\0';
    return !found.member || found.member->interp->gate.copy_label_of(*found.member, to.label, limit_ns);
}

} // namespace

bool for_each_thread(int64_t limit_ns, void (*visit)(const listed_thread &thread, void *arg) noexcept,
                     void *arg) noexcept {
    if (limit_ns < 0)
        lock_registry();
    else if (!lock_registry_within(limit_ns))
        return false;
    bool is_complete = lock_threads(limit_ns);
    if (is_complete) {
        for (const thread *record = newest_record_locked(); record && is_complete; record = record->next) {
            listed_thread listed;
            if (!record->words) // no thread uses the record, or the thread has ended but for destructors
                continue;
            is_complete = look_at(*record, listed, limit_ns);
            if (is_complete)
                visit(listed, arg);
        }
        unlock_threads();
    }
    unlock_registry();
    return is_complete;
}

since_clock::since_clock(int64_t limit_ns) noexcept {
    tick_moment begin;
    is_known_ = trace::find_begin(begin, limit_ns);
    if (!is_known_)
        return;
    const tick_moment now = tick_moment_now();
    now_ticks_ = now.ticks;
    now_ns_ = now.ns;
    is_known_ = now.ticks > begin.ticks;
    if (is_known_)
        ns_per_tick_ = static_cast<double>(now.ns - begin.ns) / static_cast<double>(now.ticks - begin.ticks);
}

int64_t since_clock::ns(uint64_t since) const noexcept {
    if (!is_known_ || !since)
        return 0;
    // A thread that noted its state after this clock was read did so just now.
    return since >= now_ticks_ ? now_ns_
                               : now_ns_ - static_cast<int64_t>(static_cast<double>(now_ticks_ - since) * ns_per_tick_);
}

} // namespace pyattach
