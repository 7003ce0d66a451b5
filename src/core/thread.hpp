// What this library knows about the calling thread. Nothing here says whether it is attached: that is asked of CPython
// (invariant 1).
//
// Scopes that change the thread's state form a stack of frames, each in storage of the caller's. Nested attached scopes
// change nothing; they belong to the frame that is on top when they begin, which must be on top again when they end. So
// they are only counted, and each frame notes how many were open when it began.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/counters.hpp"
#include "core/events.hpp"
#include "core/frame.hpp"
#include "cpython/table.hpp"

namespace pyattach {

// Made at a thread's first attach, and left to the next thread by the exit hook; all but the counters is reset then.
struct thread {
    frame *top;
    // Where CPython keeps this thread's current tstate (up to 3.11 that of the thread that holds the GIL), or
    // cpython::unknown.
    thread_state *const *current_at;
    // The participant in the main interpreter, as long as the fast path may take it without a question: a warm tstate
    // is in it, the exit hook is registered, entering the gate needs no fence, and `current_at` and the place of the
    // exception are known. Else no_participant, whose tstate is never current.
    pyattach::participant *fast_participant;
    // The interpreter that was looked up last; NULL: none, or one that could not be registered.
    interpreter *last_interp;
    void *innermost_section;
    uint32_t nested_open;            // nested attached scopes
    uint32_t batch_left;             // references taken out of a pool, which this thread is releasing
    participant *participants;       // one per interpreter that this thread has attached to
    thread_state *ended_tstate;      // of an ended interpreter, whose participant was given up; see is_of_ended_interp
    reattach_guard *reattach_guards; // of tstates of other code's that this thread detached from
    counters counted;
    int exit_rounds;
    thread *next, *previous; // all threads
    frame base;              // the bottom of the stack of frames: attaches nothing

    // Those that belong to the frame on top.
    uint32_t nested_in_top() const noexcept { return nested_open - (top == &base ? 0 : top->nested_before); }
};

// The only thread-local data: 16 bytes, because static TLS is scarce in dlopened objects. Written by its own thread
// alone.
struct thread_local_words {
    uintptr_t tagged = 0;        // the record; odd: and the thread is neither forbidden nor ended, and owes no drain
    uint16_t forbidden = 0;      // forbidden scopes open
    uint8_t ended : 1;           // the thread's exit hook has run
    uint8_t drain_deferred : 1;  // Python asked this thread for a drain while it was quiet; see run_deferred
    uint8_t registering : 6;     // runs code for the registration of an exit hook
    uint8_t forking = 0;         // forks that Python has announced on this thread, and that are not over
    uint16_t drain_disabled = 0; // locks held, drains running; see is_drain_disabled
    uint16_t busy = 0;           // calls of this library's that run foreign code, which must find Python afterwards

    constexpr thread_local_words() noexcept : ended(0), drain_deferred(0), registering(0) {}

    // Zero says nothing: a thread that is being made while this library is loaded finds zeros, whatever stands here, as
    // glibc lists a thread where dlopen looks only after it has set up its words.
    static constexpr uintptr_t fast_bit = 1;
    // NULL: none.
    thread *record() const noexcept { return reinterpret_cast<thread *>(tagged & ~fast_bit); }
    // There is a record, and the thread is neither forbidden nor ended, and owes no drain: in one look.
    bool is_fast() const noexcept { return __builtin_expect((tagged & fast_bit) != 0, 1); }
    thread &fast_record() const noexcept { return *reinterpret_cast<thread *>(tagged - fast_bit); }

    // Bits of one byte, so this is one look.
    bool has_deferred() const noexcept { return __builtin_expect((ended | drain_deferred) != 0, 0); }

    // After anything of this has changed.
    void tag(thread *record) noexcept {
        tagged = reinterpret_cast<uintptr_t>(record) | (!record || forbidden || ended || drain_deferred ? 0 : fast_bit);
    }
    // A thread that owes one takes no short ways, so that the end of a section has nothing to ask.
    void set_drain_deferred(bool owes) noexcept {
        drain_deferred = owes;
        tag(record());
    }
};
static_assert(sizeof(thread_local_words) == 16);

// __thread, not thread_local: constant-initialised in every translation unit, so no guard and no wrapper call.
#if defined(PYATTACH_INITIAL_EXEC) && defined(__GLIBC__)
extern __thread thread_local_words this_thread __attribute__((tls_model("initial-exec")));
#else
extern __thread thread_local_words this_thread;
#endif

// A call of this library's is under way that runs foreign code, which must not end Python below it.
struct busy {
    busy() noexcept { ++this_thread.busy; }
    ~busy() { --this_thread.busy; }
    busy(const busy &) = delete;
    busy &operator=(const busy &) = delete;
};
// Something of this library runs, and may run Python code in between: no automatic drain, and the record stays.
struct no_drain_scope : busy {
    no_drain_scope() noexcept { ++this_thread.drain_disabled; }
    ~no_drain_scope() {
        --this_thread.drain_disabled;
        if (__builtin_expect(this_thread.drain_deferred, 0))
            run_deferred();
    }
    no_drain_scope(const no_drain_scope &) = delete;
    no_drain_scope &operator=(const no_drain_scope &) = delete;
};

// No automatic drain now.
inline bool is_drain_disabled() noexcept {
    return this_thread.drain_disabled != 0 || (this_thread.record() && this_thread.record()->innermost_section);
}

// This thread's record, made if need be; NULL if memory is short.
thread *make_record() noexcept;
inline thread *own_record() noexcept {
    thread *me = this_thread.record();
    return __builtin_expect(!!me, 1) ? me : make_record();
}
// Around fork(). Forgetting is for the child, while held; it returns how many references other threads were releasing,
// and puts this thread's participants back into their gates.
void hold_threads() noexcept;
void release_hold_on_threads() noexcept;
// In the child. True: a thread that is not there had borrowed the lock, so the records of other threads are given up.
bool restart_threads() noexcept;
// `forget` is called with the record of each other thread before that goes.
size_t forget_other_threads(void (*forget)(thread &other) noexcept) noexcept;

// To the next thread, or freed: nothing of it is open, and no thread uses it any more.
void discard(thread &ended) noexcept;
inline void discard_late_record(thread &me) noexcept;

// Whether `now`, CPython's current state, was attached by the scope on top. If so it is alive, and this thread's:
// nobody else uses the state that a scope attached.
inline bool is_of_top(const thread &me, const thread_state *tstate) noexcept {
    return me.top->tstate == tstate && me.top->tag == tag::attached;
}
// Up to 3.11: `now` belongs to whoever holds the GIL; is it this thread?
bool is_own_tstate(thread_state *tstate) noexcept;

inline void discard_late_record(thread &me) noexcept {
    if (__builtin_expect(this_thread.ended, 0))
        discard_late_record_slow(me);
}

// A scope is to be ended that is not open, attached or detached as `kind` says: says why, and aborts.
[[noreturn]] void not_open(const char *kind, tag found) noexcept;

inline void pop(thread &me, frame &on_top) noexcept {
    on_top.tag = tag::ended;
    me.top = on_top.below;
}

} // namespace pyattach
