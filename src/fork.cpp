// fork: what the child keeps, and what it forgets.
//
// Before the fork every internal lock is taken, so the child finds none held and nothing half written. In the child
// only the forking thread lives: the records and seats of all others go, their thread states are left to CPython, which
// frees them itself; queued references stay. CPython is left alone here: this runs inside fork(), before Python's own
// after-fork.
#include "fork.hpp"

#include <pthread.h>

#include "cpython.hpp"
#include "fatal.hpp"
#include "interpreter.hpp"
#include "start.hpp"
#include "thread.hpp"
#include "warm_state.hpp"

namespace pyattach {

std::atomic<bool> is_raw_fork{false};

namespace {

// In this order; where the library holds one of these while it takes another, it is the registry's first.
void hold_all() noexcept {
    cpython::hold_finder();
    lock_registry();
    for (rooms *one = newest_rooms(); one; one = one->next) {
        one->of->gate.hold();
        one->of->pool.hold();
        pthread_mutex_lock(&one->dead.lock);
    }
    hold_threads();
    hold_message_handler();
    cpython::hold_guards();
}

void let_all_go() noexcept {
    cpython::let_guards_go();
    let_message_handler_go();
    let_threads_go();
    for (rooms *one = newest_rooms(); one; one = one->next) {
        pthread_mutex_unlock(&one->dead.lock);
        one->of->pool.let_go();
        one->of->gate.let_go();
    }
    unlock_registry();
    cpython::let_finder_go();
}

void in_child() noexcept {
    // Python tells when it is in order again, if a first contact got as far as asking for that. One that did not begins
    // anew.
    bool is_told = false;
    forget_start();
    for (rooms *one = newest_rooms(); one; one = one->next) {
        uint32_t interrupted = interpreter::busy;
        one->of->hook.compare_exchange_strong(interrupted, interpreter::none, std::memory_order_relaxed);
        is_told = is_told || (!one->of->gone.load(std::memory_order_relaxed) &&
                              one->of->hook.load(std::memory_order_relaxed) == interpreter::registered);
        one->of->gate.empty();
    }
    is_raw_fork.store(is_told, std::memory_order_relaxed);
    count(event::drops_leaked, forget_other_threads());
    for (rooms *one = newest_rooms(); one; one = one->next)
        one->of->pool.relist();
    let_all_go();
    // Their states went with their threads; CPython frees them.
    for (rooms *one = newest_rooms(); one; one = one->next)
        warm_state::forget_dead(*one->of);
    // The one call of CPython's made here: it counts down and frees. Python itself would wait for these for ever.
    cpython::release_lost_guards();
}

} // namespace

void prepare_fork() noexcept {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, [] { pthread_atfork(hold_all, let_all_go, in_child); });
}

void after_fork() noexcept { is_raw_fork.store(false, std::memory_order_relaxed); }

} // namespace pyattach
