// Participant: taking one, giving it up, and the lists of those that no thread uses.
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
                              false,
                              0,
                              nullptr,
                              reinterpret_cast<cpython::thread_state *>(&no_participant),
                              nullptr,
                              {},
                              nullptr,
                              nullptr,
                              nullptr,
                              nullptr,
                              nullptr};

namespace {

// Gives up the participants in interpreters that are cleared, because a thread may outlive any number of these.
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
        unlink_of_thread(*link, *member);
        member->interp->gate.leave(*member, presence::outside);
        if (decref_queue *queue = std::exchange(member->queue, nullptr))
            member->interp->pool.orphan(*queue);
        retire(*member);
    }
}

// Takes a vacant participant, or adds the fresh one to the gate. A fresh one that is not needed is freed. NULL: there
// is neither, or the interpreter is cleared.
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
    // The finalizing thread reads `native_id`, under the gate's lock, of participants whose presence is not outside.
    // The store of such a presence by this thread releases the id. If the finalizing thread has read the presence of
    // the thread before instead, it held the gate's lock before that thread acquired it to leave the closed gate
    // (gate::wake). So its read of the id precedes this write.
    if (taken) {
        taken->native_id = id;
        taken->ident = own_ident();
        taken->is_taken = true;
        taken->is_hook_due = false;
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

participant *find_participant(const thread *me, const interpreter &interp) noexcept {
    for (participant &member : participants_of(me))
        if (member.interp == &interp)
            return &member;
    return nullptr;
}

participant *find_or_make_participant(thread &me, interpreter &interp) noexcept {
    if (participant *self = find_participant(&me, interp))
        return self;
    give_up_ended_participants(me);
    bool was_cleared;
    const pid_t id = me.native_id;
    participant *self = take_vacant_or_add(interp, id, nullptr, was_cleared);
    if (!self && !was_cleared) {
        void *memory = std::calloc(1, sizeof(participant));
        self = memory ? take_vacant_or_add(interp, id, new (memory) participant(), was_cleared) : nullptr;
    }
    if (!self)
        return nullptr;
    self->next_of_thread = me.participants;
    // Release: what a reader of the list reads in the participant (thread_list.hpp).
    __atomic_store_n(&me.participants, self, __ATOMIC_RELEASE);
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
    ended.interp->gate.clear_label(ended);
    lock_registry();
    ended.is_taken = false;
    await_reaper_locked(ended);
    unlock_registry();
}

void vacate_locked(participant &member) noexcept {
    interpreter &interp = *member.interp;
    set_warm_tstate(member, nullptr);
    member.last_tstate = nullptr;
    member.is_temporary = false;
    member.queue = nullptr;
    // If the gate is not ended here, warm_state::forget_orphaned, which locks the registry after the end, finds the
    // participant.
    if (!interp.gate.is_ended() && interp.data->vacant.count.load(std::memory_order_relaxed) < most_vacant_participants)
        return push_locked(interp.data->vacant, member);
    interp.gate.remove(member);
    std::free(&member);
    release_data_locked(interp);
}

void await_reaper_locked(participant &member) noexcept {
    // As in vacate_locked.
    if (member.warm_tstate && !member.interp->gate.is_ended())
        push_locked(member.interp->data->orphaned, member);
    else
        vacate_locked(member);
}

} // namespace pyattach
