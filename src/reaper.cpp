// Reaper: deleting the states that ended threads left behind.
#include "reaper.hpp"

#include <utility>

#include "fork.hpp"
#include "futex.hpp"

namespace pyattach {
namespace {

// How many dead states make a batch. From 3.12 each batch costs a state made and destroyed besides. Free-threaded,
// newcomers delete those of their same_ident, so a batch is made of idents that nobody was given again.
constexpr uint32_t batch_size = 8;
constexpr uint32_t batch_size_free_threaded = 64;

bool is_same_ident(const participant &one) noexcept { return pthread_equal(one.self, pthread_self()); }

bool has_thread_ended(const participant &one) noexcept {
    // A thread with the same ident can exist only after the other's end. (Past its exit hook it may be that one.)
    if (is_same_ident(one))
        return !this_thread.ended;
    return has_ended(one.native_id);
}

void take_orphaned_locked(interp_data &all, participant *&to,
                          bool (*is_wanted)(const participant &) noexcept) noexcept {
    all.dead.add(-move_locked(all.dead.first, to, is_wanted));
}

uint32_t orphaned_in(const interpreter &where) noexcept {
    return where.data->dead.count.load(std::memory_order_relaxed);
}

// A dead state waits whose thread had the ident that the system gave to this one.
bool has_same_ident(const participant_list &list) noexcept {
    if (list.count.load(std::memory_order_relaxed) == 0)
        return false;
    lock_registry();
    const participant *one = list.first;
    while (one && !is_same_ident(*one))
        one = one->next_of_thread;
    unlock_registry();
    return one;
}

// Of a list. Attached; destructors run on this thread's own state. Should memory be short, they leak, and are not
// counted.
void destroy_tstates(interpreter &where, const participant *first) noexcept {
    const cpython::table &py = cpython::python();
    no_drain_scope so;
    cpython::kept_error kept;
    cpython::guarded([&] {
        thread_state *mine = py.current();
        thread_state *scratch = py.delete_empties_gilstate ? make_tstate(where) : nullptr;
        if (py.delete_empties_gilstate && !scratch)
            return;
        // All are cleared, which runs destructors, before the first is deleted: that empties this thread's
        // gilstate_tstate, which they may look at. A scratch state on top takes the blow; when it is gone, ours is
        // bound to the gilstate_tstate again.
        for (const participant *one = first; one; one = one->next_of_thread)
            py.tstate_clear(one->warm);
        if (scratch)
            py.tstate_swap(scratch);
        for (const participant *one = first; one; one = one->next_of_thread) {
            py.tstate_delete(one->warm);
            count(event::states_deleted);
        }
        if (scratch)
            cpython::destroy_swapped(scratch, mine);
    });
}

void reap(interpreter &where, uint32_t at_least) noexcept {
    if (orphaned_in(where) < at_least || !cpython::python().reaps_foreign_tstates)
        return;
    lock_registry();
    participant *all = take_all_locked(where.data->dead);
    unlock_registry();
    participant *is_cleared = nullptr;
    move_locked(all, is_cleared, has_thread_ended);
    if (is_cleared)
        destroy_tstates(where, is_cleared);
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
    interp_data &all = *where_.data;
    for (lazy_deadline limit;;) {
        bool must_wait = false, is_nested = false;
        lock_registry();
        for (reap_batch *other = all.reap_batches; other; other = other->next_) {
            is_nested |= other != this && other->by_ == by_; // a destructor that runs there is coming in
            must_wait |= other->now_ && is_same_ident(*other->now_);
        }
        if (!is_nested) {
            take_orphaned_locked(all, taken_, is_same_ident);
            for (reap_batch *other = all.reap_batches; other; other = other->next_)
                if (other != this)
                    move_locked(other->taken_, taken_, is_same_ident);
            if (taken_)
                list_locked();
        }
        const uint32_t seen = all.reap_batches_changed.load(std::memory_order_relaxed);
        unlock_registry();
        if (is_nested || !must_wait)
            return;
        const int64_t left = limit.left_ns();
        if (left <= 0)
            return;
        futex::wait(all.reap_batches_changed, seen, left);
    }
}

void reap_batch::take_all() noexcept {
    lock_registry();
    list_locked();
    take_orphaned_locked(*where_.data, taken_, [](const participant &) noexcept { return true; });
    unlock_registry();
}

bool reap_batch::is_free_to_go(const participant &one) const noexcept {
    if (is_same_ident(one))
        return has_thread_ended(one);
    if (!has_thread_ended(one))
        return false;
    // Whoever is given the ident from here on waits.
    lock_registry();
    const bool is_given_again = where_.gate.is_taken(one.self);
    unlock_registry();
    object *threading_active = where_.data->threading_active.load(std::memory_order_acquire);
    return !is_given_again &&
           !(threading_active && cpython::has_thread(threading_active, reinterpret_cast<unsigned long>(one.self)));
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
    participant &one = *std::exchange(now_, nullptr);
    if (is_deleted)
        vacate_locked(one);
    else
        await_reaper_locked(one);
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
    thread_state *made = has_taken() ? make_tstate(where_) : nullptr;
    if (!made)
        return;
    no_drain_scope so;
    cpython::restore_over(replaced, made);
    while (take_next()) {
        cpython::guarded([this] {
            const cpython::table &py = cpython::python();
            if (thread_state *unused = make_tstate(where_))
                cpython::empty_free_lists(now_->warm, unused);
            py.tstate_clear(now_->warm);
            py.tstate_delete(now_->warm);
        });
        count(event::states_deleted);
        done_with(true);
    }
    if (replaced)
        cpython::destroy_swapped(made, replaced);
    else
        cpython::destroy_current(made);
}

void reap_batch::destroy_at_exit() noexcept {
    take_all();
    while (take_next()) {
        destroy_tstates(where_, now_);
        done_with(true);
    }
}

void reap_batch::forget_locked(interp_data &all) noexcept {
    for (reap_batch *one = std::exchange(all.reap_batches, nullptr); one; one = one->next_) {
        if (one->now_)
            push_locked(all.dead, *one->now_);
        while (participant *its = one->taken_) {
            one->taken_ = its->next_of_thread;
            push_locked(all.dead, *its);
        }
    }
}

void reap_some(interpreter &where) noexcept {
    object *threading_active = where.data->threading_active.load(std::memory_order_acquire);
    if (threading_active && cpython::has_several(threading_active) && has_same_ident(where.data->dead))
        cpython::forget_same_ident(threading_active);
    reap(where, batch_size);
}

void reap_all(interpreter &where) noexcept {
    if (!cpython::python().free_threaded)
        return reap(where, 1);
    reap_batch now(where);
    now.destroy_at_exit();
}

thread_state *make_tstate(interpreter &where) noexcept {
    const cpython::table &py = cpython::python();
    const bool waits_for_forks = py.free_threaded || py.fork_copies_tstate_lock;
    if (waits_for_forks)
        begin_stop();
    const bool was_cleared = where.is_cleared.load(std::memory_order_acquire);
    thread_state *made = was_cleared ? nullptr : cpython::new_tstate(where.state);
    if (waits_for_forks)
        end_stop();
    return made;
}

} // namespace pyattach
