// Participant: one thread's announcement in one interpreter's gate.
#include "participant.hpp"

#include <cstdlib>
#include <new>
#include <utility>

#include "frames.hpp"
#include "interpreter.hpp"
#include "warm_state.hpp"

namespace pyattach {

participant no_participant = {{presence::outside},
                              false,
                              false,
                              0,
                              nullptr,
                              reinterpret_cast<cpython::thread_state *>(&no_participant),
                              nullptr,
                              {},
                              nullptr,
                              nullptr,
                              nullptr,
                              nullptr};

namespace {

// Threads may live through any number of interpreters.
void give_up_ended_participants(thread &me) noexcept {
    participant **link = &me.participants;
    while (participant *one = *link) {
        if (!one->where->is_cleared.load(std::memory_order_acquire) || is_in_use(me, *one)) {
            link = &one->next_of_thread;
            continue;
        }
        if (one->last && one->last == cpython::python().gilstate_tstate())
            me.ended_tstate() = one->last;
        if (me.fast_participant() == one)
            me.fast_participant() = &no_participant;
        *link = one->next_of_thread;
        warm_state::hand_over(*one);
    }
}

// An empty participant, or the fresh one, which is freed if it is not needed. NULL: there is neither, or the
// interpreter is gone.
participant *take(interpreter &where, pid_t id, participant *fresh, bool &was_cleared) noexcept {
    participant *taken = nullptr;
    lock_registry();
    was_cleared = where.is_cleared.load(std::memory_order_relaxed);
    participant_list *empty = was_cleared ? nullptr : &where.data->empty;
    if (empty && empty->first) {
        taken = empty->first;
        empty->first = taken->next_of_thread;
        empty->add(-1);
    } else if (empty && fresh) {
        taken = std::exchange(fresh, nullptr);
        taken->where = &where;
        where.gate.add(*taken);
        ++where.data->refs;
    }
    // The closer reads this of participants that do not say outside, and saying so releases it. If it read another
    // thread's here, that was under the gate's lock, which that thread took to leave a gate that was closed already.
    if (taken) {
        taken->native_id = id;
        taken->self = pthread_self();
        taken->is_taken = true;
    }
    unlock_registry();
    std::free(fresh);
    return taken;
}

} // namespace

bool is_in_use(const thread &me, const participant &mine) noexcept {
    const open_frames scopes(me);
    for (const frame &scope : scopes)
        if (scope.participant == &mine)
            return true;
    return !scopes.are_all();
}

participant *find_participant(thread &me, interpreter &where) noexcept {
    for (participant *one = me.participants; one; one = one->next_of_thread)
        if (one->where == &where)
            return one;
    give_up_ended_participants(me);
    bool was_cleared;
    const pid_t id = own_native_id();
    participant *mine = take(where, id, nullptr, was_cleared);
    if (!mine && !was_cleared) {
        void *memory = std::calloc(1, sizeof(participant));
        mine = memory ? take(where, id, new (memory) participant(), was_cleared) : nullptr;
    }
    if (!mine)
        return nullptr;
    mine->next_of_thread = me.participants;
    me.participants = mine;
    return mine;
}

void push_locked(participant_list &list, participant &one) noexcept {
    one.next_of_thread = list.first;
    list.first = &one;
    list.add(1);
}

participant *take_all_locked(participant_list &list) noexcept {
    list.count.store(0, std::memory_order_relaxed);
    return std::exchange(list.first, nullptr);
}

void vacate_locked(participant &one) noexcept {
    interpreter &where = *one.where;
    one.warm = one.last = nullptr;
    one.is_temporary = false;
    one.queue = nullptr;
    // Who sees the gate alive here is seen by forget_dead, which takes this lock once it is dead.
    if (!where.gate.is_dead() && where.data->empty.count.load(std::memory_order_relaxed) < most_vacant_participants)
        return push_locked(where.data->empty, one);
    where.gate.remove(one);
    std::free(&one);
    release_data_locked(where);
}

void await_reaper_locked(participant &one) noexcept {
    // Who sees the gate alive here is seen by forget_dead, which takes this lock once it is dead.
    if (one.warm && !one.where->gate.is_dead())
        push_locked(one.where->data->dead, one);
    else
        vacate_locked(one);
}

} // namespace pyattach
