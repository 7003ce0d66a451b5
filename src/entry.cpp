// How a thread comes into an interpreter and leaves it.
#include "entry.hpp"

#include <ctime>

#include "fatal.hpp"
#include "fork.hpp"
#include "start.hpp"
#include "warm_state.hpp"

namespace pyattach::entry {
namespace {

// While somebody else initialises Python, whether `site` is done is looked at every millisecond; after a minute it is
// taken as done, so that a program that hides `site` from sys.modules is not locked out.
constexpr int most_tries = 60000;

// 3.15 keeps what PyGILState looks at through the end of the runtime: the state of an ended life, which seems to belong
// to the new main interpreter, since that has the old one's address. Attaching it hangs for ever.
bool is_of_ended_life(const thread &me, const seat &mine, thread_state *state) noexcept {
    // Elsewhere a state that is there lives, and may well have the address of one that does not.
    if (!cpython::python().slot_outlives_python)
        return false;
    for (const seat *one = me.seats; one; one = one->next_of_thread)
        if (one != &mine && one->last == state && one->where->gone.load(std::memory_order_acquire))
            // The main thread's first state has the same address in every life.
            return cpython::python().state_id(state) != 1;
    return false;
}

// A gap inside a scope whose state was made for it: that is nobody else's either.
bool is_of_scope(const thread &me, const thread_state *state) noexcept {
    for (const frame *one = me.top; one->tag != tag::base; one = one->below)
        if (one->tag == tag::attached && one->state == state && one->temporary)
            return true;
    return false;
}

void keep(thread &me, seat &mine, thread_state *state) noexcept {
    mine.warm = state;
    // The short way in does not ask for the slot. From 3.12 attaching binds it; before, it stays what it was when the
    // state was made, and code that calls PyGILState_Ensure inside a scope would deadlock if it were another.
    const cpython::table &py = cpython::python();
    if (mine.where != main_interpreter() || (!py.attaching_binds_slot && py.slot() != state))
        return;
    bool is_registered = mine.where->hook.load(std::memory_order_acquire) == interpreter::registered;
    me.home = &mine;
    me.door = is_registered && fences_are_asymmetric ? &mine : nullptr;
}

// The state to attach with. NULL: no memory.
thread_state *choose(thread &me, seat &mine, interpreter &where, result &in) noexcept {
    const cpython::table &py = cpython::python();
    // One thread must not have two states of one interpreter where PyGILState_* looks: what is there is used, and never
    // owned.
    thread_state *state = py.slot();
    in.is_new = in.temporary = false;
    if (state && state == mine.warm) {
        keep(me, mine, state);
        return state;
    }
    if (state && py.interpreter_of(state) == where.state && !is_of_ended_life(me, mine, state)) {
        if (!is_of_scope(me, state))
            count(event::states_adopted);
        return mine.last = state;
    }
    if (mine.warm) {
        keep(me, mine, mine.warm);
        return mine.warm;
    }
    // A scope below attached it here, and other code moved the thread elsewhere since. The state of that scope lives as
    // long as it; a second one would take its place for good, on the main thread that of the only one that may stop.
    if (in.inside_below != presence::outside && mine.last)
        return mine.last;
    // Made on the thread that will use it: CPython binds a state to the thread that makes it.
    state = py.state_new(where.state);
    if (!state)
        return nullptr;
    count(event::states_created);
    // No ended life has a state there any more.
    for (seat *one = me.seats; one; one = one->next_of_thread)
        one->last = one->last == state ? nullptr : one->last;
    in.is_new = true;
    in.temporary = !warm_state::is_kept(where);
    if (!in.temporary)
        keep(me, mine, state);
    return mine.last = state;
}

// Detaches from `state`, destroys it if asked to, and goes back to `replaced`. The gate is left by the caller,
// afterwards.
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

} // namespace

status known(thread &me, interpreter &where, thread_state *replaced, bool checked, result &in) noexcept {
    // The GIL may be held by a thread that this child does not have.
    if (is_raw_fork.load(std::memory_order_relaxed))
        return PYATTACH_UNSUPPORTED;
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
    in.state = choose(me, *in.seat, where, in);
    if (!in.state) {
        where.gate.leave(*in.seat, in.inside_below);
        return PYATTACH_NO_MEMORY;
    }
    if (replaced)
        cpython::guarded([&in] { cpython::python().state_swap(in.state); });
    else
        cpython::restore(in.state);
    // A thread that needs a new state pays for some of those that ended ones left; a warm one never does.
    if (__builtin_expect(in.is_new, 0))
        warm_state::reap_some(where);
    return PYATTACH_OK;
}

status first(thread &me, thread_state *replaced, result &in) noexcept {
    const cpython::table &py = cpython::python();
    for (int tries = 0;; ++tries) {
        wait_for_start();
        if (is_raw_fork.load(std::memory_order_relaxed))
            return PYATTACH_UNSUPPORTED;
        // CPython's finalizing flag does not help: it stays up after the end, until the next start.
        if (!py.is_initialized())
            return PYATTACH_NOT_INITIALIZED;
        prepare_fork(); // a child must know of the guard
        // Where CPython offers it, a guard keeps the interpreter from ending until our gate does.
        bool refused;
        void *guard = cpython::guard_main(&refused);
        if (refused)
            return py.is_initialized() ? PYATTACH_FINALIZING : PYATTACH_NOT_INITIALIZED;
        interpreter *main = find_or_make(py.main_interpreter());
        status outcome = main ? known(me, *main, replaced, true, in) : PYATTACH_NO_MEMORY;
        bool is_usable = true;
        if (outcome == PYATTACH_OK) {
            // A thread that was attached elsewhere proves that Python is up.
            is_usable = replaced || tries == most_tries || cpython::is_usable();
            if (is_usable)
                meet(me, in.state);
            if (main->gate.is_dead())
                outcome = PYATTACH_FINALIZING;
            if (!is_usable || outcome != PYATTACH_OK) {
                leave(in.state, in.temporary, replaced);
                main->gate.leave(*in.seat, in.inside_below);
            }
        }
        cpython::release_guard(guard);
        if (is_usable)
            return outcome;
        timespec briefly = {0, 1000000};
        nanosleep(&briefly, nullptr);
    }
}

namespace {

// After a visit to another interpreter on a thread that is detached now: other code that asks for this thread's state
// finds the warm one of the main interpreter again, not the visit's, or none. May block.
void come_home(thread &me) noexcept {
    seat *home = me.home;
    if (!home || !home->warm || !cpython::python().attaching_binds_slot || home->where != main_interpreter())
        return;
    // Inside the main interpreter already, below a detached scope: it will be attached to in its own time.
    uint8_t before = home->inside.load(std::memory_order_relaxed);
    if (before != presence::outside || !home->where->gate.enter(*home))
        return;
    cpython::restore(home->warm);
    cpython::save();
    home->where->gate.leave(*home, before);
}

// Goes back to the interpreter this scope switched away from, if that still lets us in.
void go_back(thread &me, frame &ended) noexcept {
    frame &below = *me.top;
    if (below.tag == tag::attached && below.seat && !below.where->gate.come_back(*below.seat) && !below.exempt) {
        below.dead = true;
        return;
    }
    cpython::restore(ended.replaced);
}

} // namespace

void go_out(frame &mine) noexcept {
    thread *me = this_thread.record;
    if (!me || me->top != &mine)
        misuse("pyattach_attached_end: the scope that attached is ended while another scope is open inside it, or on "
               "another thread.",
               "The scope that attached a thread ends last, on that thread.",
               "End the scopes inside it first; keep scopes in automatic storage.");
    if (is_inert(mine)) {
        pop(*me, mine);
        if (mine.replaced && !mine.where->is_exempt())
            go_back(*me, mine);
        drop_late_record(*me);
        return;
    }
    if (mine.nested)
        misuse("pyattach_attached_end: the scope that attached is ended while attached scopes nested in it are open.",
               "The scope that attached a thread ends last.", "End the nested scopes first.");
    // Up to 3.11 this may be another thread's state, but then it is not ours: nobody else uses that.
    if (__builtin_expect(cpython::python().current() != mine.state, 0)) {
        if (mine.where->gate.now() < gate::sealed)
            misuse("pyattach_attached_end: the thread is not attached.",
                   "Code inside an attached scope that lets go of the interpreter takes it back before the scope ends.",
                   "Pair PyEval_SaveThread with PyEval_RestoreThread, and thread state swaps with their opposite.");
        // Left behind by an exit, this thread was refused in somebody's re-attach; its stack is being unwound.
        mine.dead = true;
        pop(*me, mine);
        return;
    }
    if (cpython::python().error_occurred() && !mine.had_error)
        cpython::report_unraisable();
    // The frame stays until the state is destroyed: finalisers that attach meanwhile nest in it.
    leave(mine.state, mine.temporary, mine.replaced);
    pop(*me, mine);
    // Detach first, leave the gate second: the exit must not see us gone while we still hold a thread state.
    mine.where->gate.leave(*mine.seat, mine.inside_below);
    if (__builtin_expect(mine.seat != me->home && !mine.replaced, 0))
        come_home(*me);
    drop_late_record(*me);
}

} // namespace pyattach::entry
