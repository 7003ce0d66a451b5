// fork: what the child keeps, and what it discards.
//
// The forking thread holds every internal lock over the fork, so the child finds nothing half written. The exception is
// what a thread that borrowed a lock was changing (internal_lock.hpp), which the child discards. In the child only the
// forking thread exists. The records and participants of all other threads are discarded. Their tstates are left to
// CPython, which frees them itself. Queued references stay. The handlers run inside fork(), before Python's own
// after-fork. So in the child they call nothing of CPython but functions that read which tstates and interpreters there
// are (fork_obstacle.hpp), and those that release lost guards.
#include "lifecycle/fork.hpp"

#include <initializer_list>

#include "base/diagnostics.hpp"
#include "base/internal_lock.hpp"
#include "core/after_fork.hpp"
#include "core/current.hpp"
#include "core/hold.hpp"
#include "core/housekeeping.hpp"
#include "core/interpreter.hpp"
#include "core/thread.hpp"
#include "core/thread_hook.hpp"
#include "core/thread_report.hpp"
#include "core/trace_session.hpp"
#include "cpython/guards.hpp"
#include "cpython/layout.hpp"
#include "cpython/tstate.hpp"
#include "lifecycle/exit_callback.hpp"
#include "lifecycle/finalizing.hpp"
#include "lifecycle/fork_obstacle.hpp"
#include "lifecycle/starting.hpp"
#include "platform/futex.hpp"
#include "platform/process.hpp"
#include "trace/dump.hpp"
#include "tstate/new_tstate.hpp"
#include "tstate/reaper.hpp"
#include "tstate/reattach_guard.hpp"
#include "tstate/warm_state.hpp"

namespace pyattach {

namespace {

// Holds the locks in this order. Where the library locks one of them while it has locked another, the registry's lock
// is the first.
void hold_all() noexcept {
    // A thread that is attached cannot wait for the housekeeper, which may be waiting for the GIL. (If the fork is
    // Python's own, it has waited before.)
    if (housekeeping::native_id() && !current_tstate())
        housekeeping::stop(housekeeper_limit_ns);
    if (!fork_hold::begin())
        return;
    lock_registry(); // not only held, so that no borrower changes the list of interp_data
    for (interp_data *data = newest_data(); data; data = data->next) {
        data->interp->gate.hold();
        data->interp->pool.hold();
    }
    trace::hold_dumper();
    trace::hold();
    hold_threads();
    hold_message_handler();
    housekeeping::hold_tstate();
    thread_hook::hold();
    cpython::hold_tstates();
    cpython::hold_guards();
    hold_locked_registry();
}

void release_all_holds() noexcept {
    if (fork_hold::is_outermost()) {
        cpython::release_hold_on_guards();
        cpython::release_hold_on_tstates();
        housekeeping::release_hold_on_tstate();
        thread_hook::release_hold();
        release_hold_on_message_handler();
        release_hold_on_threads();
        trace::release_hold();
        trace::release_hold_on_dumper();
        // A borrower may have changed the list of interp_data, and may still be changing it.
        const bool is_first = fork_hold::is_first();
        if (is_first)
            lock_registry();
        for (interp_data *data = newest_data(); data; data = data->next) {
            data->interp->pool.release_hold();
            data->interp->gate.release_hold();
        }
        release_hold_on_registry();
        if (is_first)
            unlock_registry();
        fork_hold::end();
    }
    if (main_interpreter() && !this_thread.forking)
        housekeeping::resume();
}

// Discards what was being changed under a borrowed lock, before other code reads it. True: there was something.
bool restart_locks() noexcept {
    const bool is_registry_lost = restart_registry();
    bool is_something_lost = restart_threads() || is_registry_lost;
    restart_message_handler();
    restart_thread_report();
    is_something_lost = housekeeping::restart_tstate() || is_something_lost;
    thread_hook::restart();
    cpython::restart_tstates();
    cpython::restart_guards();
    forget_running_exit_callbacks_locked(is_registry_lost);
    forget_holds_locked(is_registry_lost);
    for (interp_data *data = newest_data(); data; data = data->next) {
        const bool is_gate_lost = data->interp->gate.restart(), is_pool_lost = data->interp->pool.restart();
        is_something_lost = is_something_lost || is_gate_lost || is_pool_lost;
        if (is_gate_lost)
            data->interp->gate.empty();
    }
    return is_something_lost;
}

// Resets the registrations that the fork interrupted, so that they begin anew. True: an interpreter is registered, so
// CPython calls on_after_fork_in_child when Python may be used again.
bool reset_registrations() noexcept {
    bool is_registered = false;
    for (interp_data *data = newest_data(); data; data = data->next) {
        interpreter &interp = *data->interp;
        uint32_t interrupted = interpreter::busy;
        interp.hook.compare_exchange_strong(interrupted, interpreter::none, std::memory_order_relaxed);
        is_registered = is_registered || (!interp.is_cleared() &&
                                          interp.hook.load(std::memory_order_relaxed) == interpreter::registered);
    }
    return is_registered;
}

// Determines whether Python can be used in this child. `is_something_lost`: see find_fork_obstacle.
void assess_python(bool is_something_lost) noexcept {
    const after_fork before = python_after_fork.load(std::memory_order_relaxed);
    const thread_local_words *survivor = surviving_thread.exchange(&this_thread, std::memory_order_relaxed);
    after_fork outcome = after_fork::in_order;
    if (!reset_registrations())
        set_fork_obstacle(nullptr);
    else if (this_thread.forking)
        outcome = after_fork::announced;
    else if (before == after_fork::in_order) {
        const char *obstacle = find_fork_obstacle(is_something_lost);
        set_fork_obstacle(obstacle);
        outcome = obstacle ? after_fork::stranded : after_fork::repairable;
    } else if (before == after_fork::repairable && survivor == &this_thread)
        outcome = after_fork::repairable; // a daemon forks twice; no thread has attached in between
    else
        outcome = after_fork::stranded;
    python_after_fork.store(outcome, std::memory_order_relaxed);
}

// The parent's finalizing thread calls older atexit callbacks, or waits for holds, and is not in the child. So that end
// is the parent's only, and the child's own begins anew. (If the gate is closed already, it stays closed.)
void forget_end_of_parent(interpreter &interp) noexcept {
    if (!finalizing::is_own())
        interp.is_hook_running.store(false, std::memory_order_relaxed);
    if (interp.gate.now() != gate::held || interp.is_finalizing_thread())
        return;
    interp.finalizing_thread.store(nullptr, std::memory_order_relaxed);
    interp.gate.forget_end();
}

void in_child() noexcept {
    fork_generation.fetch_add(1, std::memory_order_relaxed);
    forget_start();
    finalizing::forget();
    assess_python(restart_locks());
    housekeeping::forget();
    for (interp_data *data = newest_data(); data; data = data->next) {
        data->interp->gate.empty();
        forget_end_of_parent(*data->interp);
        data->probing.store(0, std::memory_order_relaxed);
        reap_batch::forget_locked(*data);
        forget_exit_callbacks_of_parent_locked(*data);
        for (participant *waiting : {data->orphaned.first, data->vacant.first})
            for (; waiting; waiting = waiting->next_of_thread)
                data->interp->gate.put_back(*waiting);
    }
    forget_os_fork();
    count(event::drops_leaked, forget_other_threads([](thread &other) noexcept {
              drop_reattach_guards(other);
              forget_routing(other);
          }));
    for (interp_data *data = newest_data(); data; data = data->next)
        data->interp->pool.relist();
    trace::restart();
    trace::restart_dumper();
    fork_hold::end_in_child();
    // The orphaned tstates are left to CPython, which frees them.
    for (interp_data *data = newest_data(), *next; data; data = next) {
        next = data->next; // vacating the last participant may free them
        warm_state::forget_orphaned(*data->interp);
    }
    // This calls CPython, which decrements a count and frees memory. Otherwise finalization in the child would wait for
    // these guards for ever.
    cpython::release_lost_guards();
}

} // namespace

bool prepare_fork_locked() noexcept {
    static bool is_prepared;
    return is_prepared = is_prepared || register_fork_handlers(hold_all, release_all_holds, in_child);
}

bool prepare_fork() noexcept {
    lock_registry();
    const bool is_prepared = prepare_fork_locked();
    unlock_registry();
    return is_prepared;
}

void on_after_fork_in_child() noexcept {
    this_thread.forking = 0;
    // After a raw fork() the child itself has run Python's preparation for a fork, which counted one. No tstate must
    // wait for the end of that fork.
    end_all_os_forks();
    python_after_fork.store(after_fork::in_order, std::memory_order_relaxed);
    if (thread *me = this_thread.record())
        me->current_at = cpython::current_at();
}

} // namespace pyattach
