// Participant: one thread's announcement in one interpreter's gate.
#include "core/participant.hpp"

#include <cstdlib>
#include <new>
#include <utility>

#include "core/frames.hpp"
#include "core/interpreter.hpp"

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
    while (participant *member = *link) {
        if (!member->interp->is_cleared() || is_in_use(me, *member)) {
            link = &member->next_of_thread;
            continue;
        }
        if (member->last_tstate && member->last_tstate == cpython::python().gilstate_tstate())
            me.ended_tstate = member->last_tstate;
        if (me.fast_participant == member)
            me.fast_participant = &no_participant;
        *link = member->next_of_thread;
        member->interp->gate.leave(*member, presence::outside);
        if (decref_queue *queue = std::exchange(member->queue, nullptr))
            member->interp->pool.orphan(*queue);
        retire(*member);
    }
}

// An empty participant, or the fresh one, which is freed if it is not needed. NULL: there is neither, or the
// interpreter is gone.
participant *take_vacant_or_add(interpreter &interp, pid_t id, participant *fresh, bool &was_cleared) noexcept {
    participant *taken = nullptr;
    lock_registry();
    was_cleared = interp.is_cleared();
    participant_list *vacant = was_cleared ? nullptr : &interp.data->vacant;
    if (vacant && vacant->first) {
        taken = vacant->first;
        vacant->first = taken->next_of_thread;
        vacant->add(-1);
    } else if (vacant && fresh) {
        taken = std::exchange(fresh, nullptr);
        taken->interp = &interp;
        interp.gate.add(*taken);
        ++interp.data->refs;
    }
    // The closer reads this of participants that do not say outside, and saying so releases it. If it read another
    // thread's here, that was under the gate's lock, which that thread took to leave a gate that was closed already.
    if (taken) {
        taken->native_id = id;
        taken->ident = own_ident();
        taken->is_taken = true;
    }
    unlock_registry();
    std::free(fresh);
    return taken;
}

} // namespace

bool is_in_use(const thread &me, const participant &self) noexcept {
    const open_frames scopes(me);
    for (const frame &scope : scopes)
        if (scope.participant == &self)
            return true;
    return !scopes.are_all();
}

participant *find_participant(thread &me, interpreter &interp) noexcept {
    for (participant *member = me.participants; member; member = member->next_of_thread)
        if (member->interp == &interp)
            return member;
    give_up_ended_participants(me);
    bool was_cleared;
    const pid_t id = own_native_id();
    participant *self = take_vacant_or_add(interp, id, nullptr, was_cleared);
    if (!self && !was_cleared) {
        void *memory = std::calloc(1, sizeof(participant));
        self = memory ? take_vacant_or_add(interp, id, new (memory) participant(), was_cleared) : nullptr;
    }
    if (!self)
        return nullptr;
    self->next_of_thread = me.participants;
    me.participants = self;
    return self;
}

void push_locked(participant_list &list, participant &member) noexcept {
    member.next_of_thread = list.first;
    list.first = &member;
    list.add(1);
}

participant *take_all_locked(participant_list &list) noexcept {
    list.count.store(0, std::memory_order_relaxed);
    return std::exchange(list.first, nullptr);
}

void retire(participant &ended) noexcept {
    lock_registry();
    ended.is_taken = false;
    await_reaper_locked(ended);
    unlock_registry();
}

void vacate_locked(participant &member) noexcept {
    interpreter &interp = *member.interp;
    member.warm_tstate = member.last_tstate = nullptr;
    member.is_temporary = false;
    member.queue = nullptr;
    // Who sees the gate alive here is seen by forget_dead, which takes this lock once it is dead.
    if (!interp.gate.is_ended() && interp.data->vacant.count.load(std::memory_order_relaxed) < most_vacant_participants)
        return push_locked(interp.data->vacant, member);
    interp.gate.remove(member);
    std::free(&member);
    release_data_locked(interp);
}

void await_reaper_locked(participant &member) noexcept {
    // Who sees the gate alive here is seen by forget_dead, which takes this lock once it is dead.
    if (member.warm_tstate && !member.interp->gate.is_ended())
        push_locked(member.interp->data->orphaned, member);
    else
        vacate_locked(member);
}

} // namespace pyattach
