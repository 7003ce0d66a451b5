// What this library knows about the calling thread. Nothing here says whether it is attached: that is asked of CPython
// (invariant 1).
//
// Scopes that change the thread's state form a stack of frames, each in storage of the caller's. Nested attached scopes
// change nothing; they belong to the frame that is on top when they begin, which must be on top again when they end.
// How many are open is the difference of two counts that only go up, those begun and those ended: one count that went
// up and down would make each attach wait for the store of the end before it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/counters.hpp"
#include "core/events.hpp"
#include "cpython/table.hpp"

namespace pyattach {

using status = pyattach_status;
using cpython::thread_state;

struct interpreter;
struct participant;
struct reattach_guard;
struct thread;

// The first word of every scope. Unlikely in memory that was never a scope, so that ending one by mistake is noticed.
enum class tag : uint32_t {
    base = 0x0A77AC00, // the thread's own bottom frame
    attached,          // a scope that attached the thread: a frame
    detached,          // a frame
    nested,            // an attached scope that found the thread attached
    forbidden,
    section,
    ended,
    refused,
};

struct frame {
    pyattach::tag tag;
    bool dead;          // the interpreter ended: scopes in this frame are inert
    bool is_fast;       // made by the warm path: the state is the thread's warm one, `replaced` and `back` are not set
    bool temporary : 1; // attached: the state is destroyed with the scope
    bool by_finalizing_thread : 1; // opened by the ending thread after the gate closed
    bool had_error : 1;            // attached: the state came with an exception, which is not this scope's to report
    bool was_detached : 1;         // attached: `replaced` was not attached, but in PyGILState's gilstate_tstate
    uint8_t spare : 4;
    uint8_t inside_below;   // attached: what the participant said before
    uint32_t nested_before; // how many nested attached scopes were open on the thread when this one began
    uint32_t sum;           // of the words below, as far as they are set: see frames.hpp
    union {
        frame *below;
        void *innermost_section; // of the bottom frame: the thread's
    };
    interpreter *interp;                // the interpreter; NULL if that never met the library
    thread_state *tstate;               // attached: its state that is attached; detached: the one to come back to
    pyattach::participant *participant; // announces this thread there; NULL: the gate does not bind it
    union {
        thread_state *replaced; // attached, and not short: the state of another interpreter to go back to
        pyattach::reattach_guard
            *reattach_guard; // detached, without a participant: what keeps the state alive on the way back; or NULL
    };
    interpreter *back; // its interpreter; NULL if that never met the library. Not set without `replaced`

    thread_state *came_from() const noexcept { return is_fast ? nullptr : replaced; }

    // From the tag to `inside_below`, for a comparison of all at once.
    uint64_t head() const noexcept {
        uint64_t all;
        __builtin_memcpy(&all, this, sizeof all);
        return all;
    }
    void begin_with(uint64_t all) noexcept { __builtin_memcpy(static_cast<void *>(this), &all, sizeof all); }
};
static_assert(offsetof(frame, nested_before) == sizeof(uint64_t));

// How the frame of a warm attach begins as long as nothing happened to it; and that of a gap below.
inline uint64_t warm_head(pyattach::tag kind = tag::attached) noexcept {
    frame fast_record = {};
    fast_record.tag = kind;
    fast_record.is_fast = true;
    return fast_record.head();
}

// Taken at a thread's first contact, left to the next thread by its exit hook; all but the counts starts anew then.
struct thread {
    frame base;
    frame *top;
    // Where CPython keeps this thread's current state (up to 3.11 that of whoever holds the GIL), or cpython::unknown.
    thread_state *const *current_at;
    participant *participants; // one per interpreter this thread was announced in
    counters counted;
    int exit_rounds;
    uint32_t batch_left;     // references taken out of a pool, which this thread is releasing
    thread *next, *previous; // all threads

    // In words of the bottom frame that say nothing of it: it attached nothing.
    // The participant in the main interpreter, as long as a warm state is in it and nothing is left to be asked there:
    // the hook is registered, going in needs no fence, and `current_at` and the place of the exception are known. Else
    // no_participant, whose state is never current.
    pyattach::participant *&fast_participant() noexcept { return base.participant; }
    const pyattach::participant *fast_participant() const noexcept { return base.participant; }
    // The interpreter met last; NULL: none, or one that could not be registered.
    interpreter *&last_interp() noexcept { return base.back; }
    interpreter *last_interp() const noexcept { return base.back; }
    void *&innermost_section() noexcept { return base.innermost_section; }
    // Nested attached scopes that have ended.
    uint32_t &nested_ended() noexcept { return base.nested_before; }
    uint32_t nested_open() const noexcept {
        return static_cast<uint32_t>(
                   counted.values[static_cast<unsigned>(event::nested)].load(std::memory_order_relaxed)) -
               base.nested_before;
    }
    uint32_t nested_in_top() const noexcept { return nested_open() - (top == &base ? 0 : top->nested_before); }
    // Of an ended life, whose participant was given up: still in the gilstate_tstate where that survives.
    thread_state *&ended_tstate() noexcept { return base.tstate; }
    // To states of other code's that this thread let go of.
    reattach_guard *&reattach_guards() noexcept { return base.reattach_guard; }
    reattach_guard *reattach_guards() const noexcept { return base.reattach_guard; }
};
// With its participant and malloc's words: 240 bytes a thread.
static_assert(sizeof(void *) != 8 || sizeof(thread) <= 152);

// The only thread-local data: 16 bytes, because static TLS is scarce in dlopened objects. Written by its own thread
// alone.
struct thread_local_words {
    uintptr_t tagged = 0;        // the record; odd: and the thread is neither forbidden nor ended, and owes no drain
    uint16_t forbidden = 0;      // forbidden scopes open
    uint8_t ended : 1;           // the thread's exit hook has run
    uint8_t owes_drain : 1;      // Python asked this thread for a drain while it was quiet; see pay_dues
    uint8_t registering : 6;     // runs code for the registration of an exit hook
    uint8_t forking = 0;         // forks that Python has announced on this thread, and that are not over
    uint16_t drain_disabled = 0; // locks held, drains running; see is_drain_disabled
    uint16_t busy = 0;           // calls of this library's that run foreign code, which must find Python afterwards

    constexpr thread_local_words() noexcept : ended(0), owes_drain(0), registering(0) {}

    // Zero says nothing: a thread that is being made while this library is loaded finds zeros, whatever stands here, as
    // glibc lists a thread where dlopen looks only after it has set up its words.
    static constexpr uintptr_t fast_bit = 1;
    // NULL: none.
    thread *record() const noexcept { return reinterpret_cast<thread *>(tagged & ~fast_bit); }
    // There is a record, and the thread is neither forbidden nor ended, and owes no drain: in one look.
    bool is_fast() const noexcept { return __builtin_expect((tagged & fast_bit) != 0, 1); }
    thread &fast_record() const noexcept { return *reinterpret_cast<thread *>(tagged - fast_bit); }

    // Bits of one byte, so this is one look.
    bool has_dues() const noexcept { return __builtin_expect((ended | owes_drain) != 0, 0); }

    // After anything of this has changed.
    void tag(thread *record) noexcept {
        tagged = reinterpret_cast<uintptr_t>(record) | (!record || forbidden || ended || owes_drain ? 0 : fast_bit);
    }
    // A thread that owes one takes no short ways, so that the end of a section has nothing to ask.
    void owe_drain(bool owes) noexcept {
        owes_drain = owes;
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
        if (__builtin_expect(this_thread.owes_drain, 0))
            pay_dues();
    }
    no_drain_scope(const no_drain_scope &) = delete;
    no_drain_scope &operator=(const no_drain_scope &) = delete;
};

// No automatic drain now.
inline bool is_drain_disabled() noexcept {
    return this_thread.drain_disabled != 0 || (this_thread.record() && this_thread.record()->innermost_section());
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
void let_threads_go() noexcept;
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

// What frame::sum says: of a gap of the warm path, and of all frames that the warm path did not make.
inline uint32_t short_sum_of(const frame *below) noexcept {
    return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(below));
}
__attribute__((no_sanitize("address"))) inline uint32_t sum_of(const frame &scope) noexcept {
    const bool is_attached = scope.tag == tag::attached;
    const void *const words[] = {scope.below,
                                 scope.interp,
                                 scope.tstate,
                                 scope.participant,
                                 is_attached || !scope.participant ? scope.replaced : nullptr,
                                 is_attached ? scope.back : nullptr};
    uint64_t sum = 0;
    for (const void *word : words)
        sum = (sum + reinterpret_cast<uintptr_t>(word)) * 0x9E3779B97F4A7C15; // 2^64 over the golden ratio
    return static_cast<uint32_t>(sum >> 32);
}

inline void pop(thread &me, frame &on_top) noexcept {
    on_top.tag = tag::ended;
    me.top = on_top.below;
}

} // namespace pyattach
