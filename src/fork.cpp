// fork: what the child keeps, and what it forgets.
//
// Before the fork every internal lock is held, so the child finds nothing half written, but for what a thread had to
// borrow meanwhile (internal_lock.hpp), which the child gives up. In the child only the forking thread lives: the
// records and seats of all others go, their thread states are left to CPython, which frees them itself; queued
// references stay. CPython is left alone here: this runs inside fork(), before Python's own after-fork.
#include "fork.hpp"

#include <initializer_list>
#include <pthread.h>

#include "cpython.hpp"
#include "exit_callback.hpp"
#include "fatal.hpp"
#include "futex.hpp"
#include "internal_lock.hpp"
#include "interpreter.hpp"
#include "reaping.hpp"
#include "start.hpp"
#include "thread.hpp"
#include "warm_state.hpp"

namespace pyattach {

std::atomic<after_fork> python_after_fork{after_fork::in_order};
std::atomic<uint32_t> fork_generation{0};
std::atomic<const thread_local_words *> surviving_thread{nullptr};

namespace {

// Store one, then look at the other, on both sides and sequentially consistent: whichever store comes second is
// followed by a look that sees the first.
futex::word forks{0};
futex::word stops{0};

// Lets go of the interpreter, if it is this thread's, until the word is zero, or the time has come.
void await_none(futex::word &at, patience &limit) noexcept {
    uint32_t now = at.load(std::memory_order_seq_cst);
    if (now == 0)
        return;
    const cpython::table &py = cpython::python();
    cpython::thread_state *mine = current_state() ? cpython::save(py) : nullptr;
    for (int64_t left; now != 0 && (left = limit.left_ns()) > 0;) {
        futex::wait(at, now, left);
        now = at.load(std::memory_order_seq_cst);
    }
    if (mine)
        cpython::restore(mine);
}

// In this order; where the library holds one of these while it takes another, it is the registry's first.
void hold_all() noexcept {
    if (!fork_hold::begin())
        return;
    lock_registry(); // and not merely held: the list of rooms stays as it is
    for (rooms *one = newest_rooms(); one; one = one->next) {
        one->of->gate.hold();
        one->of->pool.hold();
    }
    hold_threads();
    hold_message_handler();
    cpython::hold_states();
    cpython::hold_guards();
    hold_locked_registry();
}

void let_all_go() noexcept {
    if (fork_hold::is_outermost()) {
        cpython::let_guards_go();
        cpython::let_states_go();
        let_message_handler_go();
        let_threads_go();
        // A borrower may have put rooms into the list or taken some out, and may be at it.
        const bool is_first = fork_hold::is_first();
        if (is_first)
            lock_registry();
        for (rooms *one = newest_rooms(); one; one = one->next) {
            one->of->pool.let_go();
            one->of->gate.let_go();
        }
        let_registry_go();
        if (is_first)
            unlock_registry();
        fork_hold::end();
    }
}

void in_child() noexcept {
    fork_generation.fetch_add(1, std::memory_order_relaxed);
    surviving_thread.store(&this_thread, std::memory_order_relaxed);
    // Python tells when it is in order again, if a first contact got as far as asking for that. One that did not begins
    // anew.
    bool is_told = false;
    forget_start();
    // First what locks guard that were borrowed: it is given up before anything looks at it.
    const bool is_registry_lost = restart_registry();
    restart_threads();
    restart_message_handler();
    cpython::restart_states();
    cpython::restart_guards();
    forget_running_exit_callbacks_held(is_registry_lost);
    for (rooms *one = newest_rooms(); one; one = one->next) {
        uint32_t interrupted = interpreter::busy;
        one->of->hook.compare_exchange_strong(interrupted, interpreter::none, std::memory_order_relaxed);
        is_told = is_told || (!one->of->gone.load(std::memory_order_relaxed) &&
                              one->of->hook.load(std::memory_order_relaxed) == interpreter::registered);
        one->of->gate.restart_empty();
        one->of->pool.restart();
        reaping::forget_held(*one);
        forget_exit_callbacks_of_parent_held(*one);
        for (seat *waiting : {one->dead.first, one->empty.first})
            for (; waiting; waiting = waiting->next_of_thread)
                one->of->gate.put_back(*waiting);
    }
    python_after_fork.store(!is_told              ? after_fork::in_order
                            : this_thread.forking ? after_fork::announced
                                                  : after_fork::crowded,
                            std::memory_order_relaxed);
    forks.store(0, std::memory_order_relaxed);
    stops.store(0, std::memory_order_relaxed);
    count(event::drops_leaked, forget_other_threads());
    for (rooms *one = newest_rooms(); one; one = one->next)
        one->of->pool.relist();
    fork_hold::end_in_child();
    // Their states went with their threads; CPython frees them.
    for (rooms *one = newest_rooms(), *next; one; one = next) {
        next = one->next; // they may go with their last seat
        warm_state::forget_dead(*one->of);
    }
    // The one call of CPython's made here: it counts down and frees. Python itself would wait for these for ever.
    cpython::release_lost_guards();
}

} // namespace

bool prepare_fork_held() noexcept {
    static bool is_prepared;
    return is_prepared = is_prepared || pthread_atfork(hold_all, let_all_go, in_child) == 0;
}

bool prepare_fork() noexcept {
    lock_registry();
    const bool is_prepared = prepare_fork_held();
    unlock_registry();
    return is_prepared;
}

void end_cut_off(thread &me, frame &mine) noexcept {
    pop(me, mine);
    mine.where->gate.leave(*mine.seat, mine.inside_below);
    drop_late_record(me);
}

pyattach_status refused_after_fork() noexcept {
    static refusal_site site;
    return refused(
        PYATTACH_UNSUPPORTED, site,
        "attaching is refused: this process was made by fork() without Python being told, so Python may wait "
        "for threads that are not here. Fork with pyattach_fork() or os.fork(), or leave Python alone in the "
        "child and end it with _exit() or exec().");
}

void order_restored() noexcept {
    this_thread.forking = 0;
    python_after_fork.store(after_fork::in_order, std::memory_order_relaxed);
    if (thread *me = this_thread.record())
        me->current_at = cpython::current_at();
}

void begin_stop() noexcept {
    for (patience limit;;) {
        stops.fetch_add(1, std::memory_order_seq_cst);
        if (forks.load(std::memory_order_seq_cst) == 0 || limit.left_ns() <= 0)
            return;
        end_stop();
        await_none(forks, limit);
    }
}

void end_stop() noexcept {
    stops.fetch_sub(1, std::memory_order_seq_cst);
    if (forks.load(std::memory_order_seq_cst) != 0)
        futex::wake(stops, futex::everyone);
}

void fork_begins() noexcept {
    ++this_thread.forking;
    forks.fetch_add(1, std::memory_order_seq_cst);
    patience limit;
    await_none(stops, limit);
}

void fork_ended() noexcept {
    // Neither below zero, should Python call this without the other.
    if (this_thread.forking)
        --this_thread.forking;
    uint32_t now = forks.load(std::memory_order_relaxed);
    while (now > 0 && !forks.compare_exchange_weak(now, now - 1, std::memory_order_seq_cst))
        ;
    futex::wake(forks, futex::everyone);
}

} // namespace pyattach
