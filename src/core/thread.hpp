// Thread: the record of the calling thread. Nothing in it tells whether the thread is attached, which only CPython
// decides (invariant 1).
//
// Scopes that change the thread's current tstate form a stack of frames, each in storage of its caller. A nested
// attached scope changes no tstate. It belongs to the frame that is on top when it begins, which must be on top again
// when it ends. So nested scopes are only counted, and each frame stores how many were open when it began.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/counters.hpp"
#include "core/upcalls.hpp"
#include "core/frame.hpp"
#include "cpython/table.hpp"
#include "platform/fence.hpp"
#include "platform/native_thread.hpp"

namespace pyattach {

namespace gilstate {
struct routing;
}

// While a trace records, no thread takes a fast path: the slow paths alone record what they do (trace.hpp).
namespace trace {
struct ring;
extern std::atomic<bool> is_recording;
} // namespace trace
struct thread_local_words;

// Made at a thread's first attach. The thread-exit hook leaves it to a later thread, which resets all but the counters.
struct thread {
    frame *top; // the innermost open scope that changed the tstate, or `base`
    // Where CPython keeps this thread's current tstate (up to 3.11 that of the thread that holds the GIL), or
    // cpython::unknown.
    thread_state *const *current_at;
    // The participant in the main interpreter, if the fast path may use it: it has a warm tstate, the exit hook is
    // registered, the gate's fences are asymmetric, and `current_at` and the offset of the pending exception are known.
    // Else no_participant, whose warm_tstate is never a current one.
    pyattach::participant *fast_participant;
    // The interpreter that was looked up last. NULL: none, or its exit hook could not be registered.
    interpreter *last_interp;
    void *innermost_section;         // a section_scope; NULL: no critical section is open
    uint32_t nested_open;            // how many nested attached scopes are open
    uint32_t batch_left;             // how many references this thread has taken out of a pool and has not released yet
    participant *participants;       // one for each interpreter that this thread has attached to
    thread_state *ended_tstate;      // of an ended interpreter, whose participant was given up; see is_of_ended_interp
    reattach_guard *reattach_guards; // of tstates that other code attached and a scope of this thread detached
    gilstate::routing *routing;      // what routed code has open on the thread; NULL: it has opened nothing yet
    thread_state *ensured;           // the tstate in which routed code has counted last on this thread
    counters counted;
    int exit_rounds;               // how often the thread-exit hook has run
    uint16_t no_drain_open;        // how many attached scopes that were begun with `no_drain` are open
    bool has_called_hook;          // for this thread the thread hook was called (thread_hook.hpp)
    std::atomic<bool> records_now; // the thread is writing into `ring`; see trace.hpp
    // Of the thread that uses the record, under the lock of the list of records, so that a trace can clear its fast
    // bit. NULL: no thread uses the record, or its thread-exit hook has run, after which no fast bit is set.
    thread_local_words *words;
    std::atomic<trace::ring *> ring; // where a trace records what the thread does; NULL: it has recorded nothing yet
    thread *next, *previous;         // in the list of all records
    // When the state began that a trace has noted last, in ticks; 0: no trace has noted one. See thread_list.hpp.
    std::atomic<uint64_t> since;
    pid_t native_id; // written before `words`, and by a fork child
    frame base;      // the bottom of the stack of frames, which changes no tstate

    // How many nested scopes belong to the top frame.
    uint32_t nested_in_top() const noexcept { return nested_open - (top == &base ? 0 : top->nested_before); }
};

// The only thread-local data of the library. 16 bytes, because static TLS is scarce in dlopened objects. Only the
// thread itself writes it, but that another thread may clear `fast_bit`.
struct thread_local_words {
    std::atomic<uintptr_t> tagged{0}; // the address of the record, and fast_bit; see tag()
    uint16_t forbidden = 0;           // how many forbidden scopes are open
    uint8_t ended : 1;                // the thread-exit hook has run
    uint8_t drain_deferred : 1;       // CPython called a drain here while drains were disabled; see run_deferred
    uint8_t housekeeper : 1;          // the thread is the library's own (housekeeping.hpp)
    uint8_t traced : 1;               // a trace records, as far as the thread has noticed; see tag()
    uint8_t registering : 4;          // how many registrations of an exit hook run code on this thread
    uint8_t forking = 0;              // how many forks CPython has notified this thread of that are not over
    uint16_t drain_disabled = 0;      // how many no_drain_scopes are open
    uint16_t stop_disabled = 0;       // how many no_stop_scopes are open, the no_drain_scopes included

    constexpr thread_local_words() noexcept : ended(0), drain_deferred(0), housekeeper(0), traced(0), registering(0) {}

    // Set for the fast path and not for the slow one, because zero in each word has to be a valid beginning. A thread
    // that starts while this library is being loaded finds zeros, whatever initializers stand here: glibc lists a
    // thread for dlopen only after it has set up the thread's TLS.
    static constexpr uintptr_t fast_bit = 1;
    // NULL: the thread has no record.
    thread *record() const noexcept {
        return reinterpret_cast<thread *>(tagged.load(std::memory_order_relaxed) & ~fast_bit);
    }
    // The record if fast_bit is set, else NULL; see tag(). A fast path loads the word once, because another thread may
    // clear the bit at any time.
    thread *fast_record() const noexcept {
        const uintptr_t seen = tagged.load(std::memory_order_relaxed);
        if (__builtin_expect((seen & fast_bit) == 0, 0))
            return nullptr;
        auto *record = reinterpret_cast<thread *>(seen - fast_bit);
        if (!record)
            __builtin_unreachable(); // the bit is set beside an address only, so callers compare nothing further
        return record;
    }

    // Bits of one byte, so this is one load. True: run_deferred has to be called, or a mutex that is unlocked is noted.
    bool has_deferred() const noexcept { return __builtin_expect((ended | drain_deferred | traced) != 0, 0); }

    // Stores the record. Sets fast_bit if there is a record, no forbidden scope is open, the thread-exit hook has not
    // run, no drain is owed, and no trace records (trace.hpp). Called after any of these has changed.
    //
    // A thread that starts a trace clears fast_bit in the words of all threads. It stores `is_recording`, passes a
    // heavy fence, and then clears the bit. This thread stores the bit, passes a light fence, and then loads
    // `is_recording` (Dekker, as at the gate). If this load reads that no trace records, the store of the bit precedes
    // the heavy fence, so the other thread clears the bit afterwards. So no thread keeps the bit while a trace records.
    void tag(thread *record) noexcept {
        const bool is_slow = !record || forbidden || ended || drain_deferred;
        tagged.store(reinterpret_cast<uintptr_t>(record) | (is_slow ? 0 : fast_bit), std::memory_order_relaxed);
        light_fence(may_fence_lightly());
        traced = trace::is_recording.load(std::memory_order_relaxed);
        if (__builtin_expect(traced, 0))
            clear_fast_bit();
    }
    // As tag(), where the fast bit is not to be set.
    void take_slow_paths() noexcept {
        tagged.store(tagged.load(std::memory_order_relaxed) & ~fast_bit, std::memory_order_relaxed);
    }
    // On a slow path. A trace that has stopped leaves it to each thread to set its fast bit again.
    void retag() noexcept {
        thread *own = record();
        if (own && !fast_record())
            tag(own);
    }
    // By any thread. An atomic step, because the thread itself may store its word at the same time.
    void clear_fast_bit() noexcept { tagged.fetch_and(~fast_bit, std::memory_order_relaxed); }
    // A thread with a deferred drain takes no fast path, so the fast end of a critical section need not check this.
    void set_drain_deferred(bool is_deferred) noexcept {
        drain_deferred = is_deferred;
        tag(record());
    }
};
static_assert(sizeof(thread_local_words) == 16);

// __thread and not thread_local, so that each translation unit knows that the initialization is constant, and a use
// needs neither a guard nor a call of a wrapper.
#if defined(PYATTACH_INITIAL_EXEC) && defined(__GLIBC__)
extern __thread thread_local_words this_thread __attribute__((tls_model("initial-exec")));
#else
extern __thread thread_local_words this_thread;
#endif

// While one exists on a thread, stop() refuses there: a function of this library runs foreign code, and Python must
// still run afterwards.
struct no_stop_scope {
    no_stop_scope() noexcept { ++this_thread.stop_disabled; }
    ~no_stop_scope() { --this_thread.stop_disabled; }
    no_stop_scope(const no_stop_scope &) = delete;
    no_stop_scope &operator=(const no_stop_scope &) = delete;
};
// While one exists on a thread, automatic drains are disabled there, and the thread keeps its record. For functions of
// this library that may run Python code before they are done.
struct no_drain_scope : no_stop_scope {
    no_drain_scope() noexcept { ++this_thread.drain_disabled; }
    ~no_drain_scope() {
        --this_thread.drain_disabled;
        if (__builtin_expect(this_thread.drain_deferred, 0))
            run_deferred();
    }
    no_drain_scope(const no_drain_scope &) = delete;
    no_drain_scope &operator=(const no_drain_scope &) = delete;
};

// Whether no automatic drain may run on this thread now.
inline bool is_drain_disabled() noexcept {
    const thread *me = this_thread.record();
    return this_thread.drain_disabled != 0 || (me && (me->innermost_section || me->no_drain_open != 0));
}

thread *make_record() noexcept;
// This thread's record, which is made if there is none. NULL: no memory.
inline thread *own_record() noexcept {
    thread *me = this_thread.record();
    return __builtin_expect(!!me, 1) ? me : make_record();
}
// Around fork(), as internal_lock.hpp defines hold, release_hold and restart, for the lock of the list of records.
void hold_threads() noexcept;
void release_hold_on_threads() noexcept;
// In the child. True: a thread that is not in the child had borrowed the lock, so the records of other threads are
// given up.
bool restart_threads() noexcept;
// In the child, while the lock is held. Frees the records of other threads, after it has called `forget` with each, and
// puts this thread's participants back into their gates. Returns how many references of the other threads leak.
size_t forget_other_threads(void (*forget)(thread &other) noexcept) noexcept;

// Clears the fast bit of each thread that has one. A thread that begins later reads trace::is_recording.
void clear_fast_bits() noexcept;
// Calls `visit` with each record, those that wait for a later thread included, under the lock of the list.
void for_each_record(void (*visit)(thread &record) noexcept) noexcept;
// The lock of the list, for a reader that keeps other locks meanwhile: the registry's is locked before it. `limit_ns`
// negative: waits without a limit. False: the lock could not be locked within this time.
bool lock_threads(int64_t limit_ns) noexcept;
void unlock_threads() noexcept;
// The newest record, under that lock; the others follow through `next`.
thread *newest_record_locked() noexcept;

// Leaves the record to a later thread, or frees it. No scope is open in it, and no thread uses it any more.
void discard(thread &ended) noexcept;
// After the thread-exit hook has run, discards the record unless a scope is open in it.
inline void discard_late_record(thread &me) noexcept {
    if (__builtin_expect(this_thread.ended, 0))
        discard_late_record_slow(me);
}

// Whether the scope on top attached this thread with `tstate`, which is current. If so, the tstate is alive and this
// thread's, because no other thread uses the tstate of a scope.
inline bool is_of_top(const thread &me, const thread_state *tstate) noexcept {
    return me.top->tstate == tstate && me.top->tag == tag::attached;
}
// Up to 3.11 the current tstate is that of the thread that holds the GIL. Whether `tstate`, which is current, is this
// thread's.
bool is_own_tstate(thread_state *tstate) noexcept;

// Aborts: a scope is ended that is not an open one of this kind ("attached" or "detached"). `found`: the tag in it.
[[noreturn]] void not_open(const char *kind, tag found) noexcept;

// Removes the top frame from the stack.
inline void pop(thread &me, frame &top) noexcept {
    top.tag = tag::ended;
    me.top = top.below;
}

} // namespace pyattach
