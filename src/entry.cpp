// How a thread comes into an interpreter and leaves it.
#include "entry.hpp"

#include <ctime>

#include "start.hpp"

namespace pyattach::entry {
namespace {

// While somebody else initialises Python, whether `site` is done is looked at every millisecond; after a minute it is
// taken as done, so that a program that hides `site` from sys.modules is not locked out.
constexpr int most_tries = 60000;

// The thread's own state of that interpreter, or a new one. NULL: no memory.
thread_state *choose(thread &me, cpython::interpreter_state *in, bool &is_new) noexcept {
    const cpython::table &py = cpython::python();
    // One thread must not have two states of one interpreter where PyGILState_* looks: use the one that is there, and
    // never own it.
    thread_state *state = py.slot();
    is_new = !state || py.interpreter_of(state) != in;
    if (!is_new) {
        me.counted.add(event::states_adopted);
        return state;
    }
    state = py.state_new(in);
    if (state)
        me.counted.add(event::states_created);
    return state;
}

void enter(thread_state *state, thread_state *replaced) noexcept {
    if (replaced)
        cpython::guarded([state] { cpython::python().state_swap(state); });
    else
        cpython::restore(state);
}

} // namespace

void leave(thread_state *state, bool destroy, thread_state *replaced) noexcept {
    if (destroy) {
        replaced ? cpython::destroy_swapped(state, replaced) : cpython::destroy_current(state);
        count(event::states_deleted);
    } else if (replaced) {
        cpython::guarded([replaced] { cpython::python().state_swap(replaced); });
    } else {
        cpython::save();
    }
}

status known(thread &me, interpreter &where, thread_state *replaced, bool checked, result &in) noexcept {
    in.where = &where;
    in.seat = seat_of(me, where);
    if (!in.seat)
        return PYATTACH_NO_MEMORY;
    in.inside_below = in.seat->inside.load(std::memory_order_relaxed);
    in.exempt = false;
    if (!where.gate.enter(*in.seat)) {
        in.exempt = where.is_exempt();
        if (where.gone.load(std::memory_order_acquire) || (checked && !in.exempt))
            return PYATTACH_FINALIZING;
        in.seat->inside.store(presence::attached, std::memory_order_relaxed);
    }
    in.state = choose(me, where.state, in.is_new);
    if (!in.state) {
        where.gate.leave(*in.seat, in.inside_below);
        return PYATTACH_NO_MEMORY;
    }
    enter(in.state, replaced);
    return PYATTACH_OK;
}

status first(thread &me, thread_state *replaced, result &in) noexcept {
    const cpython::table &py = cpython::python();
    for (int tries = 0;; ++tries) {
        wait_for_start();
        // CPython's finalizing flag does not help: it stays up after the end, until the next start.
        if (!py.is_initialized())
            return PYATTACH_NOT_INITIALIZED;
        // Where CPython offers it, a guard keeps the interpreter from ending until our gate does.
        bool refused;
        void *guard = cpython::guard_main(&refused);
        if (refused)
            return py.is_initialized() ? PYATTACH_FINALIZING : PYATTACH_NOT_INITIALIZED;
        in.state = choose(me, py.main_interpreter(), in.is_new);
        if (!in.state) {
            cpython::release_guard(guard);
            return PYATTACH_NO_MEMORY;
        }
        enter(in.state, replaced);
        // A state switched over to is running Python code already, so there is nothing to wait for.
        bool usable = replaced || tries == most_tries || cpython::is_usable();
        status outcome = PYATTACH_OK;
        if (usable) {
            in.where = meet(me, in.state);
            in.seat = in.where ? seat_of(me, *in.where) : nullptr;
            if (!in.seat)
                outcome = PYATTACH_NO_MEMORY;
            else if (in.inside_below = in.seat->inside.load(std::memory_order_relaxed); !in.where->gate.enter(*in.seat))
                outcome = PYATTACH_FINALIZING;
        }
        cpython::release_guard(guard);
        if (usable && outcome == PYATTACH_OK)
            return outcome;
        leave(in.state, in.is_new, replaced);
        if (usable)
            return outcome;
        timespec briefly = {0, 1000000};
        nanosleep(&briefly, nullptr);
    }
}

} // namespace pyattach::entry
