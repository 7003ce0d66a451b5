// Thread: the records of all threads, and the thread-exit hook.
#include "core/thread.hpp"

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "base/diagnostics.hpp"
#include "base/internal_lock.hpp"
#include "base/list.hpp"
#include "core/after_fork.hpp"
#include "core/upcalls.hpp"
#include "core/frames.hpp"
#include "core/trace.hpp"
#include "core/interpreter.hpp"
#include "cpython/layout.hpp"
#include "platform/exit_key.hpp"

namespace pyattach {

#if defined(PYATTACH_INITIAL_EXEC) && defined(__GLIBC__)
__thread thread_local_words this_thread __attribute__((tls_model("initial-exec")));
#else
__thread thread_local_words this_thread;
#endif

namespace {

// Guards the list of records and `counted_elsewhere`. Held for a few loads and stores only.
internal_lock threads_lock;
list<thread, &thread::next, &thread::previous> threads;
// Records of ended threads, for later threads, because memory is expensive to allocate on a thread that has just begun.
// They stay in the list with their counters. A thread takes one without the lock, by one exchange, and not by a
// compare-and-swap of a list's head. So a record that has been taken and given back in between does no harm (ABA). In
// one cache line.
alignas(64) std::atomic<thread *> spares[8];
std::atomic<uint64_t> counted_elsewhere[events]; // also of threads without a record, and of freed records

// The thread-exit hook is a pthread key and not a C++ thread_local. The key is made at the first attach, so its index
// is above that of CPython's own key, and the hook runs after CPython's key has been emptied.
exit_key own_exit_key;

void on_exit(void *record) noexcept {
    // In a fork child, a thread may run on the stack of a thread of the parent that was ending at the fork. glibc then
    // passes on the values of that thread's keys, and calls this with them; the record is freed. The thread-local words
    // are the new thread's own.
    if (this_thread.record() != record)
        return;
    if (!on_thread_exit(*static_cast<thread *>(record)))
        own_exit_key.set(record);
}

thread *take_spare() noexcept {
    for (std::atomic<thread *> &place : spares)
        if (place.load(std::memory_order_relaxed))
            if (thread *taken = place.exchange(nullptr, std::memory_order_acquire))
                return taken;
    return nullptr;
}

bool make_exit_key() noexcept {
    threads_lock.lock();
    const bool made = own_exit_key.make(on_exit);
    threads_lock.unlock();
    return made;
}

// The counters and the links of the list stay.
void reset(thread &record) noexcept {
    record.base = {};
    record.base.tag = tag::base;
    record.top = &record.base;
    record.current_at = &cpython::unknown;
    record.fast_participant = &no_participant;
    record.last_interp = nullptr;
    record.innermost_section = nullptr;
    record.nested_open = record.batch_left = 0;
    record.participants = nullptr;
    record.ended_tstate = nullptr;
    record.reattach_guards = nullptr;
    record.routing = nullptr;
    record.ensured = nullptr;
    record.exit_rounds = 0;
    record.no_drain_open = 0;
    record.has_called_hook = false;
    record.ring.store(nullptr, std::memory_order_relaxed);
    record.since.store(0, std::memory_order_relaxed);
}

void set_words(thread &record, thread_local_words *words) noexcept {
    threads_lock.lock();
    record.words = words;
    threads_lock.unlock();
}

thread *new_record() noexcept {
    // Without the hook the record would outlive its thread. The key is made here, because there is no spare record
    // before there is a key.
    void *memory = make_exit_key() ? std::calloc(1, sizeof(thread)) : nullptr;
    if (!memory)
        return nullptr;
    thread *made = new (memory) thread();
    reset(*made);
    threads_lock.lock();
    threads.push_front(*made);
    threads_lock.unlock();
    return made;
}

} // namespace

void clear_fast_bits() noexcept {
    threads_lock.lock();
    for (const thread &record : threads)
        if (record.words)
            record.words->clear_fast_bit();
    threads_lock.unlock();
}

bool lock_threads(int64_t limit_ns) noexcept {
    if (limit_ns >= 0)
        return threads_lock.lock_within(limit_ns);
    threads_lock.lock();
    return true;
}
void unlock_threads() noexcept { threads_lock.unlock(); }
thread *newest_record_locked() noexcept { return threads.first(); }

void for_each_record(void (*visit)(thread &record) noexcept) noexcept {
    threads_lock.lock();
    for (thread &record : threads)
        visit(record);
    threads_lock.unlock();
}

void discard(thread &ended) noexcept {
    if (trace::is_on())
        trace::end_thread(ended);
    set_words(ended, nullptr);
    // The release store publishes what this thread wrote in the record, and take_spare acquires it.
    for (std::atomic<thread *> &place : spares)
        if (thread *none = nullptr;
            !place.load(std::memory_order_relaxed) &&
            place.compare_exchange_strong(none, &ended, std::memory_order_release, std::memory_order_relaxed))
            return;
    threads_lock.lock();
    threads.remove(ended);
    for (unsigned i = 0; i < frequent_events; ++i)
        counted_elsewhere[i].fetch_add(ended.counted.values[i].load(std::memory_order_relaxed),
                                       std::memory_order_relaxed);
    threads_lock.unlock();
    std::free(&ended);
}

thread *make_record() noexcept {
    thread *me = take_spare();
    if (me) {
        reset(*me);
    } else if (!(me = new_record())) {
        return nullptr;
    }
    // After a thread's thread-exit hook has run, the thread gives the record back itself (discard_late_record).
    if (!this_thread.ended && !own_exit_key.set(me)) {
        discard(*me);
        return nullptr;
    }
    me->native_id = own_native_id();
    // A record that is made after the hook may outlive its thread, and its thread has no fast bit any more.
    if (!this_thread.ended)
        set_words(*me, &this_thread);
    me->current_at = is_stranded() ? &cpython::unknown : cpython::current_at();
    this_thread.tag(me);
    return me;
}

void hold_threads() noexcept { threads_lock.hold(); }
void release_hold_on_threads() noexcept { threads_lock.release_hold(); }
bool restart_threads() noexcept {
    if (!threads_lock.restart())
        return false;
    threads.forget_all();
    return true;
}

size_t forget_other_threads(void (*forget)(thread &other) noexcept) noexcept {
    size_t lost_references = 0;
    thread *me = this_thread.record();
    for (std::atomic<thread *> &place : spares)
        place.store(nullptr, std::memory_order_relaxed);
    for (thread &record : threads) {
        if (&record == me)
            continue;
        lost_references += record.batch_left;
        for (unsigned i = 0; i < frequent_events; ++i)
            counted_elsewhere[i].fetch_add(record.counted.values[i].load(std::memory_order_relaxed),
                                           std::memory_order_relaxed);
        while (participant *lost = record.participants) {
            record.participants = lost->next_of_thread;
            if (lost->queue && lost->interp->pool.is_given_up())
                lost_references += lost->queue->waiting();
            else if (lost->queue)
                lost->interp->pool.orphan_in_child(*lost->queue);
            release_data_locked(*lost->interp);
            std::free(lost);
        }
        forget(record);
        std::free(&record);
    }
    threads.forget_all();
    if (!me)
        return lost_references;
    threads.push_front(*me);
    // Disables the fast paths, because the slow paths check first whether Python is in order in this child.
    me->fast_participant = &no_participant;
    me->current_at = &cpython::unknown;
    for (frame &scope : open_frames(*me)) {
        if (scope.is_fast && scope.tag == tag::attached)
            scope.replaced = nullptr, scope.back = nullptr;
        scope.is_fast = scope.ungated = false;
        scope.sum = sum_of(scope);
    }
    me->native_id = own_native_id();
    for (participant &member : participants_of(me)) {
        if (member.queue && member.interp->pool.is_given_up()) {
            lost_references += member.queue->waiting();
            member.queue = nullptr;
        }
        member.native_id = me->native_id;
        member.interp->gate.put_back(member);
    }
    return lost_references;
}

bool is_own_tstate(thread_state *tstate) noexcept {
    // Inside a scope that switched to a sub-interpreter the GILState slot keeps the thread's first tstate, so the
    // record is checked first. When the thread ends, its frames cannot be read any more, and CPython has emptied the
    // slot. Then the participants decide: a warm tstate is only this thread's, and so is the tstate that a scope has
    // attached.
    const thread *me = this_thread.record();
    if (me && is_of_top(*me, tstate))
        return true;
    for (const participant &member : participants_of(me)) {
        const bool is_attached = member.presence_now.load(std::memory_order_relaxed) == presence::attached;
        // The address of a tstate of a cleared interpreter may be that of another tstate.
        if ((tstate == member.warm_tstate || (is_attached && tstate == member.last_tstate)) &&
            !member.interp->is_cleared())
            return true;
    }
    return tstate == cpython::python().gilstate_tstate();
}

void not_open(const char *kind, tag found) noexcept {
    const char *what = found == tag::ended     ? "scope was ended already"
                       : found == tag::refused ? "scope was refused when it began"
                       : kind[0] == 'a'        ? "is not an attached scope"
                                               : "is not a detached scope";
    char happened[80], instead[120];
    std::snprintf(happened, sizeof happened, "pyattach_%s_end: this %s.", kind, what);
    std::snprintf(instead, sizeof instead, "Look at the status of pyattach_%s_begin, and pair each OK with one end.",
                  kind);
    misuse(happened, "A scope that began is ended once, at its own address.", instead);
}

void count(event what, uint64_t amount) noexcept {
    thread *me = this_thread.record();
    if (me && static_cast<unsigned>(what) < frequent_events)
        me->counted.add(what, amount);
    else
        counted_elsewhere[static_cast<unsigned>(what)].fetch_add(amount, std::memory_order_relaxed);
}

uint64_t counted(event what) noexcept {
    unsigned i = static_cast<unsigned>(what);
    threads_lock.lock();
    uint64_t sum = counted_elsewhere[i].load(std::memory_order_relaxed);
    if (i < frequent_events)
        for (const thread &record : threads)
            sum += record.counted.values[i].load(std::memory_order_relaxed);
    threads_lock.unlock();
    return sum;
}

} // namespace pyattach
