// Acts: mutexes, critical sections, onces, exit callbacks.
#include <pthread.h>

#include "soak/soak.hpp"

namespace soak {
namespace {

// In a fork child what other threads had locked stays locked, as with every mutex.
bool is_in_parent(const actor &me) { return !me.is_in_child; }

bool may_start_worker(const actor &me) { return !me.is_in_child && !me.is_worker; }

bool lock(actor &me) {
    const unsigned which = me.below(mutexes);
    pyattach_mutex *const mutex = &on_stage().mutex[which];
    std::atomic<int> &inside = on_stage().inside_mutex[which];
    if (me.one_in(4)) {
        if (!pyattach_mutex_try_lock(mutex))
            return true;
    } else {
        pyattach_mutex_lock(mutex); // parks here if the interpreter ended
    }
    HOLDS(inside.fetch_add(1) == 0);
    bool is_alive = true;
    if (pyattach_is_attached()) {
        pyattach_detached gap;
        if (me.one_in(3)) {
            HOLDS(pyattach_detached_begin(&gap) == PYATTACH_OK);
            pause_us(me.below(50));
            is_alive = pyattach_detached_end(&gap) == PYATTACH_OK;
        }
    } else if (me.one_in(2)) { // the documented order: mutex first, interpreter second
        pyattach_attached scope;
        const pyattach_status status = pyattach_attached_begin(&scope);
        HOLDS_STATUS(status, status == PYATTACH_OK || is_refusal(status));
        if (status == PYATTACH_OK)
            pyattach_attached_end(&scope);
    }
    HOLDS(inside.fetch_sub(1) == 1);
    pyattach_mutex_unlock(mutex);
    return is_alive;
}

bool section(actor &me) {
    pyattach_critical_section scope;
    pyattach_mutex *const two = on_stage().section_mutex;
    pyattach_interpreter *const home = pyattach_interpreter_current();
    pyattach_status status = PYATTACH_OK;
    // A section borrows its object, and what is played inside gives back what the actor holds.
    object *own_reference = nullptr;
    switch (me.below(me.is_in_child ? 2 : 5)) {
    case 0:
        if (me.held.empty() || me.held.back().interpreter != home)
            return true;
        own_reference = me.held.back().reference;
        HOLDS(pyattach_incref(own_reference) == PYATTACH_OK);
        status = pyattach_critical_section_begin(&scope, own_reference);
        break;
    case 1:
        own_reference = new_object();
        status = pyattach_critical_section_begin2(&scope, own_reference, own_reference);
        break;
    case 2:
        status = pyattach_critical_section_begin_mutex(&scope, two);
        break;
    case 3:
        status = pyattach_critical_section_begin_mutex2(&scope, two, two + 1);
        break;
    default:
        status = pyattach_critical_section_begin_mutex2(&scope, two + 1, two);
    }
    HOLDS_STATUS(status, status == PYATTACH_OK);
    bool is_alive = true;
    if (me.one_in(3)) {
        me.note("inside a section");
        is_alive = play_inner(me);
    }
    pyattach_critical_section_end(&scope);
    pyattach_decref_in(home, own_reference); // counted as leaked if the interpreter has ended
    return is_alive;
}

struct initializing {
    actor *by;
    std::atomic<int> *done;
    bool fails, is_alive;
};

pyattach_status initialize(void *arg) {
    auto &how = *static_cast<initializing *>(arg);
    actor &me = *how.by;
    if (pyattach_is_attached() && me.one_in(2))
        how.is_alive = detach_and_play(me);
    else
        pause_us(me.below(100));
    if (how.fails)
        return PYATTACH_TIMED_OUT;
    HOLDS(how.done->fetch_add(1) == 0 || me.is_in_child);
    return PYATTACH_OK;
}

bool once(actor &me) {
    const unsigned which = me.below(onces);
    initializing how = {&me, &on_stage().once_done[which], me.one_in(3), true};
    if (me.depth > 2)
        return true; // a once that waits for a once further out on this very thread would wait for ever
    const int depth = me.depth;
    me.depth = 4; // so what initializes plays nothing that could run another one
    const pyattach_status status = pyattach_once_run(&on_stage().once[which], initialize, &how);
    me.depth = depth;
    HOLDS_STATUS(status, status == PYATTACH_OK || status == PYATTACH_FINALIZING || how.fails);
    if (status == PYATTACH_OK)
        HOLDS(on_stage().once_done[which] > 0);
    return how.is_alive && status != PYATTACH_FINALIZING;
}

bool fresh_once(actor &me) {
    pyattach_once once = PYATTACH_ONCE_INIT;
    std::atomic<int> done{0};
    initializing how = {&me, &done, me.one_in(2), true};
    const int depth = me.depth;
    me.depth = 4;
    const pyattach_status status = pyattach_once_run(&once, initialize, &how);
    me.depth = depth;
    HOLDS_STATUS(status, status == (how.fails ? PYATTACH_TIMED_OUT : PYATTACH_OK));
    return how.is_alive;
}

// --- A worker that an exit callback ends, as in docs/exit.md
// ----------------------------------------------------------

struct worker {
    std::atomic<bool> may_end{false};
    std::atomic<int> ended{0};
    pthread_t thread;
    std::uint64_t seed;
};

void *work(void *arg) {
    auto &own = *static_cast<worker *>(arg);
    actor me("worker", own.seed);
    me.is_worker = true;
    while (!own.may_end) {
        (void)attach_and_play(me);
        pause_us(me.below(2000));
    }
    return nullptr;
}

void end_worker(pyattach_interpreter *, void *arg) {
    auto &own = *static_cast<worker *>(arg);
    own.may_end = true;
    pthread_join(own.thread, nullptr);
    HOLDS(own.ended.fetch_add(1) == 0);
}

void count(pyattach_interpreter *, void *arg) { ++*static_cast<std::atomic<int> *>(arg); }

bool exit_callback(actor &me) {
    pyattach_interpreter *const here = pyattach_interpreter_current();
    static std::atomic<int> calls{0};
    pyattach_status status = pyattach_exit_callback_add(here, count, &calls);
    HOLDS_STATUS(status, status == PYATTACH_OK || status == PYATTACH_FINALIZING);
    if (status != PYATTACH_OK || me.one_in(8))
        return true; // left there
    status = pyattach_exit_callback_remove(here, count, &calls);
    HOLDS_STATUS(status, status == PYATTACH_OK || status == PYATTACH_INVALID);
    return true;
}

bool run_worker(actor &me) {
    pyattach_interpreter *const home = pyattach_interpreter_current();
    if (on_stage().actors_alive > 60)
        return true;
    auto &own = *new worker; // the exit callback may still be about to return when this thread is through
    own.seed = me.new_seed();
    if (pthread_create(&own.thread, nullptr, work, &own) != 0)
        return true;
    ++on_stage().threads;
    const bool is_added = pyattach_exit_callback_add(home, end_worker, &own) == PYATTACH_OK;
    pyattach_detached gap;
    HOLDS(pyattach_detached_begin(&gap) == PYATTACH_OK);
    pause_us(me.below(3000));
    if (is_added && me.one_in(4))
        me.note("leaves its worker to the exit");
    else if (!is_added || pyattach_exit_callback_remove(home, end_worker, &own) == PYATTACH_OK)
        end_worker(home, &own);
    return pyattach_detached_end(&gap) == PYATTACH_OK;
}

} // namespace

const std::vector<act> lock_acts = {
    {"lock", 6, lock, is_in_parent},
    {"section", 6, section, always},
    {"once", 2, once, is_in_parent},
    {"a fresh once", 2, fresh_once, always},
    {"exit callback", 2, exit_callback, always},
    {"worker", 1, run_worker, may_start_worker},
};

} // namespace soak
