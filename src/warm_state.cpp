// Warm: the thread state a native thread keeps between attaches.
#include "warm_state.hpp"

#include <csignal>
#include <utility>

#if defined(__linux__)
#include <cerrno>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "fork.hpp"
#include "interpreter.hpp"

namespace pyattach::warm_state {
namespace {

std::atomic<int> policy{PYATTACH_THREADS_WARM};

// How many dead states make a batch. From 3.12 each batch costs one state made and destroyed besides; on free-threaded
// builds also a collection, without which about 22 KiB of free lists would leak with each state.
constexpr uint32_t batch_size = 8;
constexpr uint32_t batch_size_free_threaded = 64;

bool is_thread_gone(const seat &one) noexcept {
    // A thread with the same identity can exist only after the other's end.
    if (pthread_equal(one.self, pthread_self()))
        return true;
#if defined(__linux__)
    return syscall(SYS_tgkill, getpid(), one.native_id, 0) != 0 && errno == ESRCH;
#else
    return false;
#endif
}

// A dead state waits whose thread had the identity that the system gave to this one.
bool has_namesake(const waiting_seats &list) noexcept {
    if (list.count.load(std::memory_order_relaxed) == 0)
        return false;
    bool found = false;
    lock_registry();
    for (const seat *one = list.first; one && !found; one = one->next_of_thread)
        found = pthread_equal(one->self, pthread_self());
    unlock_registry();
    return found;
}

// Those whose threads are gone, out of the list.
seat *take_gone(waiting_seats &list, uint32_t &taken) noexcept {
    lock_registry();
    seat *all = take_all_held(list);
    unlock_registry();
    seat *gone = nullptr, *still_there = nullptr;
    taken = 0;
    while (seat *one = all) {
        all = one->next_of_thread;
        const bool is_gone = is_thread_gone(*one);
        one->next_of_thread = std::exchange(is_gone ? gone : still_there, one);
        taken += is_gone;
    }
    if (still_there) {
        lock_registry();
        while (seat *one = still_there) {
            still_there = one->next_of_thread;
            push_held(list, *one);
        }
        unlock_registry();
    }
    return gone;
}

void vacate_all_held(seat *first) noexcept {
    while (seat *one = first) {
        first = one->next_of_thread;
        vacate_held(*one);
    }
}

void destroy(interpreter &where, seat *gone, uint32_t count_of_gone) noexcept {
    const cpython::table &py = cpython::python();
    quietly so;
    cpython::guarded([&] {
        cpython::kept_error kept;
        if (py.free_threaded)
            py.collect();
        thread_state *mine = py.current();
        thread_state *scratch = nullptr;
        if (py.delete_spoils_slot) {
            // Deleting another thread's state empties this thread's slot. A scratch state on top takes that blow; when
            // it is gone, ours is bound to the slot again.
            scratch = cpython::new_state(where.state);
            if (!scratch)
                return; // out of memory: they leak, and are counted as not deleted
            py.state_swap(scratch);
        }
        // All are cleared, which runs destructors, before the first is deleted, which spoils the slot they may look at.
        for (seat *one = gone; one; one = one->next_of_thread)
            py.state_clear(one->warm);
        for (seat *one = gone; one; one = one->next_of_thread)
            py.state_delete(one->warm);
        if (scratch)
            cpython::destroy_swapped(scratch, mine);
        count(event::states_deleted, count_of_gone);
    });
    lock_registry();
    vacate_all_held(gone);
    unlock_registry();
}

void reap(interpreter &where, uint32_t at_least) noexcept {
    if (where.rooms->dead.count.load(std::memory_order_relaxed) < at_least || !cpython::python().reaps_foreign_states)
        return;
    // Refused: they wait for a later attach, and at the interpreter's end for CPython itself.
    const bool collects = cpython::python().free_threaded;
    if (collects && !try_begin_stop())
        return;
    uint32_t taken;
    if (seat *gone = take_gone(where.rooms->dead, taken))
        destroy(where, gone, taken);
    if (collects)
        end_stop();
}

} // namespace

void set_policy(pyattach_thread_policy wanted) noexcept { policy.store(wanted, std::memory_order_relaxed); }

bool is_kept(const interpreter &where) noexcept {
    const cpython::table &py = cpython::python();
    // Past its exit hook a thread has nobody to hand a state over.
    if (policy.load(std::memory_order_relaxed) != PYATTACH_THREADS_WARM || this_thread.ended ||
        !py.reaps_foreign_states)
        return false;
    // A state that is kept stays where other code looks for this thread's, which must never be one of a
    // sub-interpreter: so there only if the thread has a warm state of the main interpreter to be found instead.
    if (where.state == py.main_interpreter())
        return true;
    const thread *me = py.sub_interpreters_keep_states ? this_thread.record() : nullptr;
    for (const seat *one = me ? me->seats : nullptr; one; one = one->next_of_thread)
        if (one->warm && one->where == main_interpreter())
            return true;
    return false;
}

void hand_over(seat &mine) noexcept {
    interpreter &where = *mine.where;
    where.gate.leave(mine, presence::outside);
    if (mine.drops)
        where.pool.orphan(*mine.drops);
    lock_registry();
    // Who sees the gate alive here is seen by forget_dead, which takes this lock once it is dead.
    if (mine.warm && !where.gate.is_dead())
        push_held(where.rooms->dead, mine);
    else
        vacate_held(mine);
    unlock_registry();
}

void reap_some(interpreter &where) noexcept {
    object *stand_ins = where.rooms->stand_ins.load(std::memory_order_acquire);
    if (stand_ins && cpython::has_several(stand_ins) && has_namesake(where.rooms->dead))
        cpython::forget_namesake(stand_ins);
    reap(where, cpython::python().free_threaded ? batch_size_free_threaded : batch_size);
}

void reap_all(interpreter &where) noexcept { reap(where, 1); }

void forget_dead(interpreter &where) noexcept {
    lock_registry();
    // In a fork child the gate is not dead, and all of them are empty then.
    seat *empty = take_all_held(where.rooms->empty), *dead = take_all_held(where.rooms->dead);
    vacate_all_held(empty);
    vacate_all_held(dead);
    unlock_registry();
}

status release() noexcept {
    if (this_thread.forbidden)
        return PYATTACH_FORBIDDEN;
    thread *me = this_thread.record();
    if (!me)
        return PYATTACH_OK;
    // Also where other code attached the thread with the very state that would go.
    if (me->top != &me->base || me->nested_open() || current_state())
        return PYATTACH_INVALID;
    if (is_raw_fork.load(std::memory_order_relaxed))
        return PYATTACH_UNSUPPORTED;
    for (seat *one = me->seats; one; one = one->next_of_thread) {
        thread_state *state = one->warm;
        if (!state)
            continue;
        one->warm = nullptr;
        if (me->door() == one)
            me->door() = nullptr;
        // Refused: the interpreter ends, and CPython deletes the state with it.
        if (!one->where->gate.enter(*one))
            continue;
        cpython::restore(state);
        cpython::destroy_current(state);
        count(event::states_deleted);
        one->where->gate.leave(*one, presence::outside);
    }
    return PYATTACH_OK;
}

} // namespace pyattach::warm_state
