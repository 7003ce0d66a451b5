// Reaper: deleting the states that ended threads left behind.
#include "tstate/reaper.hpp"

#include <utility>

#include "base/deadline.hpp"
#include "cpython/exception.hpp"
#include "cpython/guarded.hpp"
#include "cpython/threading.hpp"
#include "cpython/tstate.hpp"
#include "platform/futex.hpp"
#include "tstate/new_tstate.hpp"

namespace pyattach {
namespace {

// How many dead states make a batch. From 3.12 each batch costs a state made and destroyed besides. Free-threaded,
// newcomers delete those of their same_ident, so a batch is made of idents that nobody was given again.
constexpr uint32_t batch_size = 8;
constexpr uint32_t batch_size_free_threaded = 64;

bool has_own_ident(const participant &member) noexcept { return is_same_ident(member.ident, own_ident()); }

bool has_thread_ended(const participant &member) noexcept {
    // A thread with the same ident can exist only after the other's end. (Past its exit hook it may be that one.)
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

// A dead state waits whose thread had the ident that the system gave to this one.
bool has_same_ident(const participant_list &list) noexcept {
    if (list.count.load(std::memory_order_relaxed) == 0)
        return false;
    lock_registry();
    const participant *member = list.first;
    while (member && !has_own_ident(*member))
        member = member->next_of_thread;
    unlock_registry();
    return member;
}

// Of a list. Attached; destructors run on this thread's own state. Should memory be short, they leak, and are not
// counted.
void destroy_tstates(interpreter &interp, const participant *first) noexcept {
    const cpython::table &py = cpython::python();
    no_drain_scope no_drain;
    cpython::kept_error kept;
    cpython::guarded([&] {
        thread_state *tstate = py.current();
        thread_state *scratch = py.delete_empties_gilstate ? make_tstate(interp) : nullptr;
        if (py.delete_empties_gilstate && !scratch)
            return;
        // All are cleared, which runs destructors, before the first is deleted: that empties this thread's
        // gilstate_tstate, which they may look at. A scratch state on top takes the blow; when it is gone, ours is
        // bound to the gilstate_tstate again.
        for (const participant *member = first; member; member = member->next_of_thread)
            py.tstate_clear(member->warm_tstate);
        if (scratch)
            py.tstate_swap(scratch);
        for (const participant *member = first; member; member = member->next_of_thread) {
            py.tstate_delete(member->warm_tstate);
            count(event::states_deleted);
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
    participant *is_cleared = nullptr;
    move_locked(all, is_cleared, has_thread_ended);
    if (is_cleared)
        destroy_tstates(interp, is_cleared);
    lock_registry();
    for_each_locked(all, await_reaper_locked);
    for_each_locked(is_cleared, vacate_locked);
    unlock_registry();
}

} // namespace

// Under the registry's lock.
void reap_batch::list_locked() noexcept {
    if (!std::exchange(is_listed_, true))
        next_ = std::exchange(where_.data->reap_batches, this);
}

void reap_batch::unlock_and_tell() noexcept {
    futex::word &changed = where_.data->reap_batches_changed;
    changed.fetch_add(1, std::memory_order_relaxed);
    unlock_registry();
    futex::wake(changed, futex::everyone);
}

reap_batch::~reap_batch() {
    if (!is_listed_)
        return;
    lock_registry();
    for_each_locked(taken_, await_reaper_locked);
    reap_batch **link = &where_.data->reap_batches;
    while (*link != this)
        link = &(*link)->next_;
    *link = next_;
    unlock_and_tell();
}

void reap_batch::take_same_ident() noexcept {
    interp_data &data = *where_.data;
    for (lazy_deadline limit;;) {
        bool must_wait = false, is_nested = false;
        lock_registry();
        for (reap_batch *other = data.reap_batches; other; other = other->next_) {
            is_nested |= other != this && other->by_ == by_; // a destructor that runs there is coming in
            must_wait |= other->now_ && has_own_ident(*other->now_);
        }
        if (!is_nested) {
            take_orphaned_locked(data, taken_, has_own_ident);
            for (reap_batch *other = data.reap_batches; other; other = other->next_)
                if (other != this)
                    move_locked(other->taken_, taken_, has_own_ident);
            if (taken_)
                list_locked();
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
    list_locked();
    take_orphaned_locked(*where_.data, taken_, [](const participant &) noexcept { return true; });
    unlock_registry();
}

bool reap_batch::is_free_to_go(const participant &member) const noexcept {
    if (has_own_ident(member))
        return has_thread_ended(member);
    if (!has_thread_ended(member))
        return false;
    // Whoever is given the ident from here on waits.
    lock_registry();
    const bool is_given_again = where_.gate.has_ident(member.ident);
    unlock_registry();
    object *threading_active = where_.data->threading_active.load(std::memory_order_acquire);
    return !is_given_again &&
           !(threading_active && cpython::has_thread(threading_active, reinterpret_cast<unsigned long>(member.ident)));
}

bool reap_batch::has_taken() const noexcept {
    if (!is_listed_)
        return false;
    lock_registry();
    const bool has = taken_;
    unlock_registry();
    return has;
}

// The next one that may be deleted is `now_`. Attached.
bool reap_batch::take_next() noexcept {
    for (;;) {
        lock_registry();
        now_ = taken_;
        if (now_)
            taken_ = std::exchange(now_->next_of_thread, nullptr);
        unlock_registry();
        if (!now_)
            return false;
        if (is_free_to_go(*now_))
            return true;
        done_with(false);
    }
}

void reap_batch::done_with(bool is_deleted) noexcept {
    lock_registry();
    participant &member = *std::exchange(now_, nullptr);
    if (is_deleted)
        vacate_locked(member);
    else
        await_reaper_locked(member);
    unlock_and_tell();
}

// On a state made for the purpose. For what is freed meanwhile is put down to the state that is current, also memory of
// other states of this thread's (_PyMem_mi_page_maybe_free; of a second same_ident too, so that one state serves both
// and goes last); clearing a state does away with the current one's free lists for good; and deleting one empties the
// gilstate_tstate. A fork child clears again what is cleared and not deleted, and crashes: so nothing comes between the
// two, and they are done with one by one.
void reap_batch::destroy_before_coming(thread_state *replaced) noexcept {
    if (orphaned_in(where_) >= batch_size_free_threaded)
        take_all();
    thread_state *tstate = has_taken() ? make_tstate(where_) : nullptr;
    if (!tstate)
        return;
    no_drain_scope no_drain;
    cpython::restore_over(replaced, tstate);
    while (take_next()) {
        cpython::guarded([this] {
            const cpython::table &py = cpython::python();
            if (thread_state *unused = make_tstate(where_))
                cpython::empty_free_lists(now_->warm_tstate, unused);
            py.tstate_clear(now_->warm_tstate);
            py.tstate_delete(now_->warm_tstate);
        });
        count(event::states_deleted);
        done_with(true);
    }
    if (replaced)
        cpython::destroy_swapped(tstate, replaced);
    else
        cpython::destroy_current(tstate);
}

void reap_batch::destroy_at_exit() noexcept {
    take_all();
    while (take_next()) {
        destroy_tstates(where_, now_);
        done_with(true);
    }
}

void reap_batch::forget_locked(interp_data &data) noexcept {
    for (reap_batch *batch = std::exchange(data.reap_batches, nullptr); batch; batch = batch->next_) {
        if (batch->now_)
            push_locked(data.orphaned, *batch->now_);
        while (participant *member = batch->taken_) {
            batch->taken_ = member->next_of_thread;
            push_locked(data.orphaned, *member);
        }
    }
}

void reap_some(interpreter &interp) noexcept {
    object *threading_active = interp.data->threading_active.load(std::memory_order_acquire);
    if (threading_active && cpython::has_several(threading_active) && has_same_ident(interp.data->orphaned))
        cpython::forget_same_ident(threading_active);
    reap(interp, batch_size);
}

void reap_all(interpreter &interp) noexcept {
    if (!cpython::python().free_threaded)
        return reap(interp, 1);
    reap_batch batch(interp);
    batch.destroy_at_exit();
}

} // namespace pyattach
