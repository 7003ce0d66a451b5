// One life of one interpreter of this process: its gate, its pool, its exit callbacks. Each life has a record of its
// own, so the record is the generation (invariant 6).
//
// The record is never freed, because a handle is valid to pass for ever and a scope of any thread may name it; so it is
// small, and the rest is in interp_data of its own, which go. What is looked at without a hold on the interp_data is in
// the record:
//   - by handles (begin_in, decref_in, exit callbacks): `gone`, `hook`, the gate's word, the pool's head;
//   - by scopes and by the interpreter a thread met last: the gate's word, `gone`, `finalizing_thread`, `state`;
//   - by stop(), after the end: `timed_out`.
// Everything else is done by a thread with a participant in the gate (coming in, leaving, queueing, handing its state
// over), by one that is attached there, by the interpreter's own end, or under the registry's lock by one that has seen
// it not gone. A participant is a hold, and so is the life until CPython has cleared the interpreter: the last to let
// go frees the interp_data. A thread that lives on gives its participants in ended interpreters up when it next needs a
// new one.
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
    participant_list orphaned; // with a state, to be deleted by a thread that is attached
    participant_list vacant;   // for the next thread
    // What cpython::threading_active returned, from the registering of the exit hook to the exit.
    std::atomic<object *> threading_active{nullptr};
    futex::word reap_batches_changed{0};
    // Under the registry's lock:
    reap_batch *reap_batches = nullptr;
    exit_callback *callbacks = nullptr, **last_callback = &callbacks;
    unsigned refs = 1;
    interpreter *interp;
    interp_data *next = nullptr; // all there are

    explicit interp_data(interpreter &owner) noexcept : interp(&owner) {}
};

// On a line of its own: entering reads it, and only rare events write it.
struct alignas(64) interpreter {
    cpython::interp_state *const state;
    pyattach::gate gate;
    pyattach::pool pool;
    interp_data *const data; // only for those named above
    // The thread that ends it (the address of its thread-local words), exempt from the gate.
    std::atomic<thread_local_words *> finalizing_thread{nullptr};
    // Registration of the exit hook with the interpreter's atexit, by the thread that changes `none` to `busy`:
    //
    //     none ------> busy ------> registered
    //          <------
    //           failed: the next attach tries again
    enum hook_state : uint32_t { none, busy, registered };
    std::atomic<uint32_t> hook{none};
    // A capsule in the interpreter's own dict names this record; its destructor is called when CPython clears the
    // interpreter. Set once, by the thread that is busy, and kept when the rest of the registration fails.
    std::atomic<bool> is_kept{false};
    std::atomic<bool> timed_out{false};

    interpreter(cpython::interp_state *its, pyattach::interp_data &all) noexcept
        : state(its), gate(all.gate), pool(all.pool), data(&all) {}

    // Its end closes the pool: by the exit hook, or by the capsule while a thread is still registering that.
    bool notices_its_end() const noexcept {
        const uint32_t seen = hook.load(std::memory_order_relaxed);
        return seen == registered || (seen == busy && is_kept.load(std::memory_order_acquire));
    }
    bool is_cleared() const noexcept { return gate.now() == gate::cleared; }
    bool is_finalizing_thread() const noexcept {
        return finalizing_thread.load(std::memory_order_relaxed) == &this_thread && !is_cleared();
    }
};

static_assert(sizeof(interpreter) == 64, "what an ended interpreter leaves behind");

// The thread is attached to the main interpreter with its warm state: told without asking CPython, and by the record
// alone, as the scope on top may be one that cannot be read (see frames.hpp). That state is this thread's for as long
// as the interpreter is there.
inline bool is_warm_inside(const thread &me, const thread_state *tstate) noexcept {
    const participant *fast_participant = me.fast_participant;
    return tstate == fast_participant->warm_tstate && __builtin_expect(!fast_participant->interp->gate.is_ended(), 1);
}
inline bool is_warm_inside(const thread &me) noexcept { return is_warm_inside(me, cpython::peek(me.current_at)); }

// A scope of the warm path. Its interpreter and its state stand side by side in both, and are copied at once.
inline void set_fast_participant(frame &scope, participant &fast_participant) noexcept {
    static_assert(offsetof(frame, tstate) - offsetof(frame, interp) ==
                  offsetof(participant, warm_tstate) - offsetof(participant, interp));
    __builtin_memcpy(reinterpret_cast<char *>(&scope) + offsetof(frame, interp),
                     reinterpret_cast<const char *>(&fast_participant) + offsetof(participant, interp),
                     2 * sizeof(void *));
    scope.participant = &fast_participant;
}

// The record of a living interpreter that was met before, else NULL. Asks nothing of CPython.
interpreter *find_interpreter(cpython::interp_state *state) noexcept;
// The main interpreter's, if it was met in this life and CPython has not cleared it; also while it ends.
extern std::atomic<interpreter *> main_record;
// Python's main thread, by its native id; 0: not known.
extern std::atomic<pid_t> main_thread_id;
// The state that Python started with, which only its main thread uses.
inline bool is_main_tstate(thread_state *tstate) noexcept {
    const cpython::table &py = cpython::python();
    return py.tstate_id(tstate) == 1 && py.interp_of(tstate) == py.main_interpreter();
}
inline interpreter *main_interpreter() noexcept { return main_record.load(std::memory_order_acquire); }

// Whether the interpreter of this frame ended below it.
inline bool is_inert(const frame &scope) noexcept {
    // The ending thread's own scopes have nothing to go back to, unless it opened them while it ended the interpreter.
    return scope.inert ||
           (scope.interp && __builtin_expect(scope.interp->gate.is_ended(), 0) && !scope.by_finalizing_thread &&
            (scope.interp->is_cleared() || scope.interp->is_finalizing_thread()));
}

// Guards the list of interp_data, who holds them, the participants that wait, who deletes their states, and the exit
// callbacks.
void lock_registry() noexcept;
void unlock_registry() noexcept;
// Around fork(). Held once all interp_data' locks are; let go of last. In the child true: a thread that is not there
// had borrowed it, so what other threads left in all interp_data, and the exit callbacks, are given up.
void hold_locked_registry() noexcept;
void let_registry_go() noexcept;
bool restart_registry() noexcept;
// Under that lock, or in a fork child: all interp_data, also of interpreters that are gone, newest first.
interp_data *newest_data() noexcept;
// NULL: no memory. A record that is complete, and in the list.
interpreter *new_record_locked(cpython::interp_state *state) noexcept;
interpreter *find_interpreter_locked(cpython::interp_state *state) noexcept;
// The hold that comes with a participant is given up, which may free the interp_data; the participant has left the
// gate.
void release_data_locked(interpreter &interp) noexcept;
// How much ever waited at once in the pools of those that are gone; under that lock.
void note_high_water_locked(size_t most) noexcept;
size_t high_water_of_ended() noexcept;

} // namespace pyattach
