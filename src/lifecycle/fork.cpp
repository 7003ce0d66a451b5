// fork: what the child keeps, and what it forgets.
//
// Before the fork every internal lock is held, so the child finds nothing half written, but for what a thread had to
// borrow meanwhile (internal_lock.hpp), which the child gives up. In the child only the forking thread lives: the
// records and participants of all others go, their thread states are left to CPython, which frees them itself; queued
// references stay. CPython is left alone here: this runs inside fork(), before Python's own after-fork.
#include "lifecycle/fork.hpp"

#include <initializer_list>

#include "base/diagnostics.hpp"
#include "base/internal_lock.hpp"
#include "core/after_fork.hpp"
#include "core/interpreter.hpp"
#include "core/thread.hpp"
#include "cpython/guards.hpp"
#include "cpython/layout.hpp"
#include "cpython/tstate.hpp"
#include "lifecycle/exit_callback.hpp"
#include "lifecycle/finalizing.hpp"
#include "lifecycle/fork_company.hpp"
#include "lifecycle/starting.hpp"
#include "platform/futex.hpp"
#include "platform/process.hpp"
#include "tstate/new_tstate.hpp"
#include "tstate/reaper.hpp"
#include "tstate/reattach_guard.hpp"
#include "tstate/warm_state.hpp"

namespace pyattach {

namespace {

// In this order; where the library holds one of these while it takes another, it is the registry's first.
void hold_all() noexcept {
    if (!fork_hold::begin())
        return;
    lock_registry(); // and not merely held: the list of interp_data stays as it is
    for (interp_data *data = newest_data(); data; data = data->next) {
        data->interp->gate.hold();
        data->interp->pool.hold();
    }
    hold_threads();
    hold_message_handler();
    cpython::hold_tstates();
    cpython::hold_guards();
    hold_locked_registry();
}

void let_all_go() noexcept {
    if (fork_hold::is_outermost()) {
        cpython::let_guards_go();
        cpython::let_tstates_go();
        let_message_handler_go();
        let_threads_go();
        // A borrower may have put interp_data into the list or taken some out, and may be at it.
        const bool is_first = fork_hold::is_first();
        if (is_first)
            lock_registry();
        for (interp_data *data = newest_data(); data; data = data->next) {
            data->interp->pool.let_go();
            data->interp->gate.let_go();
        }
        let_registry_go();
        if (is_first)
            unlock_registry();
        fork_hold::end();
    }
}

// Gives up what was being changed under a borrowed lock, before anything looks at it. True: there was something.
bool restart_locks() noexcept {
    const bool is_registry_lost = restart_registry();
    bool is_something_lost = restart_threads() || is_registry_lost;
    restart_message_handler();
    cpython::restart_tstates();
    cpython::restart_guards();
    forget_running_exit_callbacks_locked(is_registry_lost);
    for (interp_data *data = newest_data(); data; data = data->next) {
        const bool is_gate_lost = data->interp->gate.restart(), is_pool_lost = data->interp->pool.restart();
        is_something_lost = is_something_lost || is_gate_lost || is_pool_lost;
        if (is_gate_lost)
            data->interp->gate.empty();
    }
    return is_something_lost;
}

// Python tells when it is in order again, if a first contact got as far as asking for that. One that did not begins
// anew.
bool forget_contacts() noexcept {
    bool is_told = false;
    for (interp_data *data = newest_data(); data; data = data->next) {
        interpreter &interp = *data->interp;
        uint32_t interrupted = interpreter::busy;
        interp.hook.compare_exchange_strong(interrupted, interpreter::none, std::memory_order_relaxed);
        is_told =
            is_told || (!interp.is_cleared() && interp.hook.load(std::memory_order_relaxed) == interpreter::registered);
    }
    return is_told;
}

void look_around(bool is_something_lost) noexcept {
    const after_fork before = python_after_fork.load(std::memory_order_relaxed);
    const thread_local_words *survivor = surviving_thread.exchange(&this_thread, std::memory_order_relaxed);
    after_fork now = after_fork::in_order;
    if (!forget_contacts())
        set_fork_obstacle(nullptr);
    else if (this_thread.forking)
        now = after_fork::announced;
    else if (before == after_fork::in_order) {
        const char *obstacle = find_company(is_something_lost);
        set_fork_obstacle(obstacle);
        now = obstacle ? after_fork::stranded : after_fork::repairable;
    } else if (before == after_fork::repairable && survivor == &this_thread)
        now = after_fork::repairable; // a daemon forks twice; nothing has attached in between
    else
        now = after_fork::stranded;
    python_after_fork.store(now, std::memory_order_relaxed);
}

void in_child() noexcept {
    fork_generation.fetch_add(1, std::memory_order_relaxed);
    forget_start();
    finalizing::forget();
    look_around(restart_locks());
    for (interp_data *data = newest_data(); data; data = data->next) {
        data->interp->gate.empty();
        reap_batch::forget_locked(*data);
        forget_exit_callbacks_of_parent_locked(*data);
        for (participant *waiting : {data->orphaned.first, data->vacant.first})
            for (; waiting; waiting = waiting->next_of_thread)
                data->interp->gate.put_back(*waiting);
    }
    forget_os_fork();
    count(event::drops_leaked, forget_other_threads(drop_reattach_guards));
    for (interp_data *data = newest_data(); data; data = data->next)
        data->interp->pool.relist();
    fork_hold::end_in_child();
    // Their states went with their threads; CPython frees them.
    for (interp_data *data = newest_data(), *next; data; data = next) {
        next = data->next; // they may go with their last participant
        warm_state::forget_orphaned(*data->interp);
    }
    // This calls CPython, which counts down and frees: Python itself would wait for these for ever.
    cpython::release_lost_guards();
}

} // namespace

bool prepare_fork_locked() noexcept {
    static bool is_prepared;
    return is_prepared = is_prepared || register_fork_handlers(hold_all, let_all_go, in_child);
}

bool prepare_fork() noexcept {
    lock_registry();
    const bool is_prepared = prepare_fork_locked();
    unlock_registry();
    return is_prepared;
}

void order_restored() noexcept {
    this_thread.forking = 0;
    // Begun by this process, where Python was put in order after a fork that nothing announced. Or new thread states
    // would wait for its end.
    end_all_os_forks();
    python_after_fork.store(after_fork::in_order, std::memory_order_relaxed);
    if (thread *me = this_thread.record())
        me->current_at = cpython::current_at();
}

} // namespace pyattach
