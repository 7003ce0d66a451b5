// Frame: a scope that changes the thread's tstate, in storage of the caller's; frames.hpp says how far one can be read.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/presence.hpp"
#include "cpython/table.hpp"

namespace pyattach {

using status = pyattach_status;
using cpython::thread_state;

struct interpreter;
struct participant;
struct reattach_guard;

// What a scope is, in its first word. The values are unlikely in memory that was never a scope, so that ending one by
// mistake is detected.
//
//                    attached_begin, not attached ----> attached ---+
//                    attached_begin, attached --------> nested -----+
//                      with options that it keeps ----> nested_with-+
//      (not begun)   detached_begin ------------------> detached ---+---- the matching end ----> ended
//                    forbidden_begin -----------------> forbidden --+
//                    critical_section_begin ----------> section ----+
//                    hold_begin ----------------------> hold -------+
//                    gilstate_is_finalizing ----------> ticket -----+
//                    any begin that is refused -------> refused
//
// Only `attached` and `detached` change the thread's tstate, and so only these are frames.
enum class tag : uint32_t {
    base = 0x0A77AC00, // of the bottom frame, which every thread has
    attached,
    detached,
    nested,
    forbidden,
    section,
    hold,
    ended,
    refused,
    nested_with,
    ticket,
};

// The frames of a thread are a stack, linked through `below`:
//
//      made by        on top of                           is_fast
//      attached       base, or a detached frame, or an    entered from `base` with the warm tstate of the main
//                     attached one of another interpreter interpreter
//      detached       base, or an attached frame          on top of such a frame
//
//      inert: the interpreter has ended; the ends of the scopes in this frame neither detach nor leave the gate
struct frame {
    pyattach::tag tag;
    bool inert;
    bool is_fast;                  // `replaced` and `back` are not set
    bool temporary : 1;            // attached: the tstate is destroyed with the scope
    bool by_finalizing_thread : 1; // opened by the finalizing thread after the gate closed
    bool had_error : 1;            // attached: the tstate came with an exception, which this scope does not report
    bool was_detached : 1;         // attached: `replaced` was not attached; PyGILState_GetThisThreadState returned it
    bool no_drain : 1;             // attached: see pyattach_attach_options, as is `labelled`
    bool labelled : 1;             // attached: the participant's label is this scope's
    bool ungated : 1;              // detached, not fast: begun by begin_ungated (detached.hpp), as its head shows
    bool deletes_tstate : 1;       // attached: routed code has cleared the tstate, which is deleted with the scope
    presence presence_before;      // attached: the thread's presence when the scope began
    uint32_t nested_before;        // how many nested scopes were open on the thread when this one began
    uint32_t sum;                  // of the words below, as far as they are set: see frames.hpp
    frame *below;
    interpreter *interp;                // NULL: the library has no record of it
    thread_state *tstate;               // attached: the one that is attached; detached: the one to re-attach
    pyattach::participant *participant; // of this thread there; NULL: the gate does not bind the scope
    union {
        thread_state *replaced;                   // attached, not fast: the tstate of another interpreter to restore
        pyattach::reattach_guard *reattach_guard; // detached, without a participant; NULL: none is needed
    };
    interpreter *back; // the interpreter of `replaced`; NULL: the library has no record of it

    thread_state *came_from() const noexcept { return is_fast ? nullptr : replaced; }

    // From the tag to `presence_before`, written and compared as one word. Compared field by field, attach and end
    // execute 125 instructions of the library's instead of 110, detach and end 126 instead of 98 (GCC 12).
    uint64_t head() const noexcept {
        uint64_t word;
        __builtin_memcpy(&word, this, sizeof word);
        return word;
    }
    void begin_with(uint64_t word) noexcept { __builtin_memcpy(static_cast<void *>(this), &word, sizeof word); }
};
static_assert(offsetof(frame, nested_before) == sizeof(uint64_t));

// The head of a frame that the fast path made, as long as nothing has happened to it.
inline uint64_t fast_head(pyattach::tag kind = tag::attached) noexcept {
    frame made = {};
    made.tag = kind;
    made.is_fast = true;
    return made.head();
}

// The same of a detached frame that begin_ungated made.
inline uint64_t ungated_head() noexcept {
    frame made = {};
    made.tag = tag::detached;
    made.ungated = true;
    return made.head();
}

// What `sum` holds. fast_sum_of: of a detached frame of the fast path. sum_of: of a frame of any other path.
inline uint32_t fast_sum_of(const frame *below) noexcept {
    return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(below));
}
__attribute__((no_sanitize("address"))) inline uint32_t sum_of(const frame &scope) noexcept {
    const bool is_attached = scope.tag == tag::attached;
    const thread_state *replaced = is_attached || !scope.participant ? scope.replaced : nullptr;
    const interpreter *back = is_attached ? scope.back : nullptr;
    // Each word has a factor of its own, so that no multiplication waits for another one.
    constexpr uint64_t factor = 0x9E3779B97F4A7C15; // 2^64 over the golden ratio
    const auto times = [](const void *word, uint64_t n) noexcept {
        return reinterpret_cast<uintptr_t>(word) * (factor * n);
    };
    const uint64_t sum = times(scope.below, 1) + times(scope.interp, 3) + times(scope.tstate, 5) +
                         times(scope.participant, 7) + times(replaced, 9) + times(back, 11);
    return static_cast<uint32_t>(sum >> 32);
}

} // namespace pyattach
