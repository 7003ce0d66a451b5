// Interpreter: the record of one interpreter of this process, with its gate, its pool and its exit callbacks. CPython
// reuses the addresses and ids of interpreters. Each interpreter has a record of its own, whose address is not reused,
// so the record is the generation (invariant 6).
//
// The record is never freed, because a caller may pass a handle at any time, and a scope of any thread may name it. So
// the record is small, and all else is in its interp_data, which is reference-counted and freed. The record holds what
// code without a reference to the interp_data reads:
//   - functions that take a handle (begin_in, decref_in, exit callbacks): `hook`, the gate's word, the pool's head;
//   - scopes, and users of thread::last_interp: the gate's word, `finalizing_thread`, `state`;
//   - stop(), after the end: `timed_out`.
//
// A participant counts as a reference to the interp_data, and so does the interpreter until CPython has cleared it. The
// last reference frees the interp_data. So it may be used by a thread that has a participant in the gate (to enter, to
// leave, to push a reference, to hand its tstate over), by a thread that is attached to the interpreter, by the
// finalizing thread, and under the registry's lock by a thread that has read there that is_cleared() is false. A thread
// gives its participants in cleared interpreters up when it next needs a participant.
#pragma once

#include <atomic>

#include "core/frames.hpp"
#include "core/gate.hpp"
#include "core/thread.hpp"
#include "cpython/layout.hpp"
#include "platform/futex.hpp"
#include "pool/pool.hpp"
#include "pyattach/interpreter.h"

namespace pyattach {

struct exit_callback {
    pyattach_exit_callback call;
    void *arg;
    bool in_fork_child; // a fork child calls it, too
    exit_callback *next;
};

struct interpreter;
class reap_batch;

struct interp_data {
    pyattach::gate::data gate;
    pyattach::pool::data pool;
    participant_list orphaned; // their threads have ended; an attached thread deletes their warm tstates
    participant_list vacant;   // for threads that need a participant
    // What cpython::threading_active returned, from the registration of the exit hook to the exit.
    std::atomic<object *> threading_active{nullptr};
    futex::word reap_batches_changed{0};
    futex::word probing{0}; // helper threads of probes that may have a tstate (see probe.hpp)
    // Under the registry's lock:
    reap_batch *reap_batches = nullptr;
    exit_callback *callbacks = nullptr; // the one that was added last is the first
    unsigned refs = 1;
    interpreter *interp;
    interp_data *next = nullptr; // the next older one

    explicit interp_data(interpreter &record) noexcept : interp(&record) {}
};

// On a cache line of its own, which each attach reads and only rare events write.
struct alignas(64) interpreter {
    cpython::interp_state *const state;
    pyattach::gate gate;
    pyattach::pool pool;
    interp_data *const data; // for the code that is named above
    // The finalizing thread, as the address of its thread-local words. It may attach after the gate has closed.
    std::atomic<thread_local_words *> finalizing_thread{nullptr};
    // The registration of the exit hook with the interpreter's atexit, by the thread that changes `none` to `busy`:
    //
    //     none ------> busy ------> registered
    //          <------
    //           failed: the next attach tries again
    enum hook_state : uint32_t { none, busy, registered };
    std::atomic<uint32_t> hook{none};
    // A capsule in the interpreter's own dict refers to this record. CPython calls its destructor when it clears the
    // interpreter. Set once, by the registering thread, and not reset if the rest of the registration fails.
    std::atomic<bool> has_capsule{false};
    std::atomic<bool> timed_out{false};
    std::atomic<bool> is_hook_running{false}; // the exit hook calls atexit callbacks that are older than itself

    interpreter(cpython::interp_state *interp_state, pyattach::interp_data &own_data) noexcept
        : state(interp_state), gate(own_data.gate), pool(own_data.pool), data(&own_data) {}

    // Whether the end of the interpreter will close its pool: by the exit hook, or by the capsule while a thread still
    // registers the hook.
    bool notices_its_end() const noexcept {
        const uint32_t seen = hook.load(std::memory_order_relaxed);
        return seen == registered || (seen == busy && has_capsule.load(std::memory_order_acquire));
    }
    bool is_cleared() const noexcept { return gate.now() == gate::cleared; }
    bool is_finalizing_thread() const noexcept {
        return finalizing_thread.load(std::memory_order_relaxed) == &this_thread && !is_cleared();
    }
};

static_assert(sizeof(interpreter) == 64, "what an ended interpreter leaves behind");

// Whether the thread is attached to the main interpreter with its warm tstate. This reads the record and not the top
// frame, which may be unreadable (see frames.hpp), and calls no function of CPython's. The warm tstate is this thread's
// until the interpreter ends.
inline bool is_warm_inside(const thread &me, const thread_state *tstate) noexcept {
    const participant *fast_participant = me.fast_participant;
    return tstate == fast_participant->warm_tstate && __builtin_expect(!fast_participant->interp->gate.is_ended(), 1);
}
inline bool is_warm_inside(const thread &me) noexcept { return is_warm_inside(me, cpython::peek(me.current_at)); }

// Sets the interpreter, the tstate and the participant of a frame of the fast path. The first two are adjacent in both
// structs, and are copied at once.
inline void set_fast_participant(frame &scope, participant &fast_participant) noexcept {
    static_assert(offsetof(frame, tstate) - offsetof(frame, interp) ==
                  offsetof(participant, warm_tstate) - offsetof(participant, interp));
    __builtin_memcpy(reinterpret_cast<char *>(&scope) + offsetof(frame, interp),
                     reinterpret_cast<const char *>(&fast_participant) + offsetof(participant, interp),
                     2 * sizeof(void *));
    scope.participant = &fast_participant;
}

// The record of an interpreter that is not cleared. NULL: the library has none. Does not call CPython.
interpreter *find_interpreter(cpython::interp_state *state) noexcept;
// The record of the main interpreter, also while it is finalizing. NULL: there is none, or CPython has cleared it.
extern std::atomic<interpreter *> main_record;
// Whether the main interpreter has ended and no thread has attached to the next one.
extern std::atomic<bool> has_main_ended;
// The native id of Python's main thread; 0: unknown.
extern std::atomic<pid_t> main_thread_id;
// Whether this is the tstate that Python started with, which only its main thread uses.
inline bool is_main_tstate(thread_state *tstate) noexcept {
    const cpython::table &py = cpython::python();
    return py.tstate_id(tstate) == 1 && py.interp_of(tstate) == py.main_interpreter();
}
inline interpreter *main_interpreter() noexcept { return main_record.load(std::memory_order_acquire); }

// Whether the frame's interpreter has ended inside the scope.
inline bool is_inert(const frame &scope) noexcept {
    // A scope of the finalizing thread is inert once the gate is ended, unless the thread opened it while it finalized
    // the interpreter. A scope of another thread is inert once the interpreter is cleared.
    return scope.inert ||
           (scope.interp && __builtin_expect(scope.interp->gate.is_ended(), 0) && !scope.by_finalizing_thread &&
            (scope.interp->is_cleared() || scope.interp->is_finalizing_thread()));
}

// The registry's lock guards the list of interp_data, their reference counts, the orphaned and vacant participants, the
// reaper's batches, the exit callbacks, and the holds.
void lock_registry() noexcept;
void unlock_registry() noexcept;
// False: it could not be locked within this time.
bool lock_registry_within(int64_t limit_ns) noexcept;
// Around fork(), as internal_lock.hpp defines hold, release_hold and restart. The registry's lock is held after all
// locks in interp_data, and released after them. True in the child: a thread that is not in the child had borrowed the
// lock, so the orphaned and vacant participants, the batches and the exit callbacks have been given up.
void hold_locked_registry() noexcept;
void release_hold_on_registry() noexcept;
bool restart_registry() noexcept;
// Under that lock, or in a fork child: all interp_data, also of cleared interpreters, newest first.
interp_data *newest_data() noexcept;
// Makes a record, and links its interp_data. NULL: no memory.
interpreter *new_record_locked(cpython::interp_state *state) noexcept;
interpreter *find_interpreter_locked(cpython::interp_state *state) noexcept;
// Gives up a reference to the interp_data, and frees it with the last one. If it is a participant's reference, the
// participant has been removed from the gate.
void release_data_locked(interpreter &interp) noexcept;
// The most references that ever waited at once in the pool of a cleared interpreter. Under the registry's lock.
void note_high_water_locked(size_t most) noexcept;
size_t high_water_of_ended() noexcept;

} // namespace pyattach
