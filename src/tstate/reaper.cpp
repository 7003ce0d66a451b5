// Reaper: deletes the tstates of ended threads.
#include "tstate/reaper.hpp"

#include <utility>

#include "base/deadline.hpp"
#include "core/housekeeping.hpp"
#include "core/trace.hpp"
#include "cpython/exception.hpp"
#include "cpython/guarded.hpp"
#include "cpython/threading.hpp"
#include "cpython/tstate.hpp"
#include "platform/futex.hpp"
#include "tstate/new_tstate.hpp"

namespace pyattach {
namespace {

// How many orphaned tstates make a batch. From 3.12 each batch also costs one tstate that is made and destroyed for it.
// Free-threaded, a thread deletes the orphaned tstates of its own ident first, so the batch is only for tstates whose
// ident no new thread has got.
constexpr uint32_t batch_size = 8;
constexpr uint32_t batch_size_free_threaded = 64;
// Where the housekeeper deletes them, another thread helps only if so many are left that the housekeeper cannot keep
// up. They have 1 KB each, or 16 KB on a free-threaded Python.
constexpr uint32_t backlog = 4096;
constexpr uint32_t backlog_free_threaded = 1024;

// How many orphaned tstates make a batch for the calling thread.
uint32_t own_batch_size() noexcept {
    if (housekeeping::is_housekeeper())
        return 1;
    if (cpython::python().free_threaded)
        return housekeeping::is_on() ? backlog_free_threaded : batch_size_free_threaded;
    return housekeeping::is_on() ? backlog : batch_size;
}

bool has_own_ident(const participant &member) noexcept { return is_same_ident(member.ident, own_ident()); }

bool has_thread_ended(const participant &member) noexcept {
    // Two threads have the same ident only one after the other. So the calling thread is a later one, unless its exit
    // hook has run: then `member` may be its own.
    if (has_own_ident(member))
        return !this_thread.ended;
    return has_ended(member.native_id);
}

void take_orphaned_locked(interp_data &data, participant *&to,
                          bool (*is_wanted)(const participant &) noexcept) noexcept {
    data.orphaned.add(-move_locked(data.orphaned.first, to, is_wanted));
}

uint32_t orphaned_in(const interpreter &interp) noexcept {
    return interp.data->orphaned.count.load(std::memory_order_relaxed);
}

// Whether one in the list belongs to an ended thread that had the calling thread's ident.
bool is_own_ident_in(const participant *member) noexcept {
    while (member && !has_own_ident(*member))
        member = member->next_of_thread;
    return member;
}
bool has_same_ident(const participant_list &list) noexcept {
    if (list.count.load(std::memory_order_relaxed) == 0)
        return false;
    lock_registry();
    const bool has = is_own_ident_in(list.first);
    unlock_registry();
    return has;
}

// Deletes the tstates of a list of participants. Attached; destructors run on this thread's own tstate. If memory is
// short, the tstates leak and are not counted.
void destroy_tstates(interpreter &interp, const participant *first) noexcept {
    const cpython::table &py = cpython::python();
    no_drain_scope no_drain;
    trace::work deleted(trace::kind::reaped);
    cpython::kept_error kept;
    cpython::guarded([&] {
        thread_state *tstate = py.current();
        thread_state *scratch = py.delete_empties_gilstate ? make_tstate(interp) : nullptr;
        if (py.delete_empties_gilstate && !scratch)
            return;
        // All tstates are cleared before the first is deleted. Clearing runs destructors, which may read this thread's
        // GILState slot, and from 3.12 deleting a tstate empties that slot. So a scratch tstate is current during the
        // deletions. When it has been destroyed, CPython stores this thread's own tstate in the slot again.
        for (const participant *member = first; member; member = member->next_of_thread)
            py.tstate_clear(member->warm_tstate);
        if (scratch)
            py.tstate_swap(scratch);
        for (const participant *member = first; member; member = member->next_of_thread) {
            py.tstate_delete(member->warm_tstate);
            count(event::states_deleted);
            deleted.add(1);
        }
        if (scratch)
            cpython::destroy_swapped(scratch, tstate);
    });
}

void reap(interpreter &interp, uint32_t at_least) noexcept {
    if (orphaned_in(interp) < at_least || !cpython::python().reaps_foreign_tstates)
        return;
    lock_registry();
    participant *all = take_all_locked(interp.data->orphaned);
    unlock_registry();
    participant *ended = nullptr;
    move_locked(all, ended, has_thread_ended);
    if (ended)
        destroy_tstates(interp, ended);
    lock_registry();
    for_each_locked(all, await_reaper_locked);
    for_each_locked(ended, vacate_locked);
    unlock_registry();
}

} // namespace

void reap_batch::link_locked() noexcept {
    if (!std::exchange(is_linked_, true))
        next_ = std::exchange(interp_.data->reap_batches, this);
}

void reap_batch::unlock_and_wake() noexcept {
    futex::word &changed = interp_.data->reap_batches_changed;
    changed.fetch_add(1, std::memory_order_relaxed);
    unlock_registry();
    futex::wake(changed, futex::everyone);
}

reap_batch::~reap_batch() {
    if (!is_linked_)
        return;
    lock_registry();
    for_each_locked(taken_, await_reaper_locked);
    reap_batch **link = &interp_.data->reap_batches;
    while (*link != this)
        link = &(*link)->next_;
    *link = next_;
    unlock_and_wake();
}

void reap_batch::take_same_ident() noexcept {
    interp_data &data = *interp_.data;
    for (lazy_deadline limit;;) {
        bool must_wait = false, is_nested = false;
        lock_registry();
        for (reap_batch *other = data.reap_batches; other; other = other->next_) {
            // A destructor that runs in a deletion on this thread attaches.
            is_nested |= other != this && other->owner_ == owner_;
            must_wait |= other->current_ && has_own_ident(*other->current_);
        }
        if (!is_nested) {
            take_orphaned_locked(data, taken_, has_own_ident);
            for (reap_batch *other = data.reap_batches; other; other = other->next_)
                if (other != this)
                    move_locked(other->taken_, taken_, has_own_ident);
            if (taken_)
                link_locked();
        }
        const uint32_t seen = data.reap_batches_changed.load(std::memory_order_relaxed);
        unlock_registry();
        if (is_nested || !must_wait)
            return;
        const int64_t left = limit.left_ns();
        if (left <= 0)
            return;
        futex::wait(data.reap_batches_changed, seen, left);
    }
}

void reap_batch::take_all() noexcept {
    lock_registry();
    link_locked();
    take_orphaned_locked(*interp_.data, taken_, [](const participant &) noexcept { return true; });
    unlock_registry();
}

bool reap_batch::may_delete(const participant &member) const noexcept {
    if (has_own_ident(member))
        return has_thread_ended(member);
    if (!has_thread_ended(member))
        return false;
    // A thread that gets the ident from now on waits in take_same_ident.
    lock_registry();
    const bool is_reused = interp_.gate.has_ident(member.ident);
    unlock_registry();
    object *threading_active = interp_.data->threading_active.load(std::memory_order_acquire);
    return !is_reused &&
           !(threading_active && cpython::has_thread(threading_active, reinterpret_cast<unsigned long>(member.ident)));
}

bool reap_batch::has_taken() const noexcept {
    if (!is_linked_)
        return false;
    lock_registry();
    const bool has = taken_;
    unlock_registry();
    return has;
}

// Makes the next tstate that may be deleted `current_`. Attached. False: there is none.
bool reap_batch::take_next() noexcept {
    for (;;) {
        lock_registry();
        current_ = taken_;
        if (current_)
            taken_ = std::exchange(current_->next_of_thread, nullptr);
        unlock_registry();
        if (!current_)
            return false;
        if (may_delete(*current_))
            return true;
        finish_current(false);
    }
}

void reap_batch::finish_current(bool is_deleted) noexcept {
    lock_registry();
    participant &member = *std::exchange(current_, nullptr);
    if (is_deleted)
        vacate_locked(member);
    else
        await_reaper_locked(member);
    unlock_and_wake();
}

// The deletions run on a tstate that is made for them, for three reasons. CPython attributes what is freed meanwhile to
// the tstate that is current, also memory of this thread's other tstates (_PyMem_mi_page_maybe_free). Clearing a tstate
// empties the free lists of the current tstate for good. Deleting one empties the GILState slot. If two orphaned
// tstates have this thread's ident, one new tstate serves for both, and is destroyed last.
//
// A fork child clears again each tstate that is cleared and not deleted, and crashes. So nothing runs between the
// clearing and the deletion of a tstate, and the tstates are finished one by one.
void reap_batch::destroy_before_attach(thread_state *replaced) noexcept {
    if (orphaned_in(interp_) >= own_batch_size())
        take_all();
    thread_state *tstate = has_taken() ? make_tstate(interp_) : nullptr;
    if (!tstate)
        return;
    no_drain_scope no_drain;
    trace::work deleted(trace::kind::reaped);
    cpython::restore_over(replaced, tstate);
    while (take_next()) {
        destroy_detached(interp_, current_->warm_tstate);
        finish_current(true);
        deleted.add(1);
    }
    if (replaced)
        cpython::destroy_swapped(tstate, replaced);
    else
        cpython::destroy_current(tstate);
}

void reap_batch::destroy_at_exit() noexcept {
    take_all();
    while (take_next()) {
        destroy_tstates(interp_, current_);
        finish_current(true);
    }
}

void reap_batch::forget_locked(interp_data &data) noexcept {
    for (reap_batch *batch = std::exchange(data.reap_batches, nullptr); batch; batch = batch->next_) {
        if (batch->current_)
            push_locked(data.orphaned, *batch->current_);
        while (participant *member = batch->taken_) {
            batch->taken_ = member->next_of_thread;
            push_locked(data.orphaned, *member);
        }
    }
}

bool is_same_ident_orphaned(const interpreter &interp) noexcept {
    lock_registry();
    // A thread that is deleting tstates may have it.
    const bool is_orphaned = interp.data->reap_batches || is_own_ident_in(interp.data->orphaned.first);
    unlock_registry();
    return is_orphaned;
}

void reap_some(interpreter &interp) noexcept {
    object *threading_active = interp.data->threading_active.load(std::memory_order_acquire);
    if (threading_active && cpython::has_several(threading_active) && has_same_ident(interp.data->orphaned))
        cpython::forget_same_ident(threading_active);
    // (The dummy thread goes in any case, because this thread would take it for its own.)
    if (!is_drain_disabled())
        reap(interp, own_batch_size());
}

void reap_all(interpreter &interp) noexcept {
    if (!cpython::python().free_threaded)
        return reap(interp, 1);
    reap_batch batch(interp);
    batch.destroy_at_exit();
}

} // namespace pyattach
