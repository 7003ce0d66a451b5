// Reaping: deleting the states that ended threads left behind.
#include "reaping.hpp"

#include <csignal>
#include <utility>

#if defined(__linux__)
#include <cerrno>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "fork.hpp"
#include "futex.hpp"

namespace pyattach {
namespace {

// How many dead states make a batch. From 3.12 each batch costs a state made and destroyed besides. Free-threaded,
// newcomers delete those of their namesakes, so a batch is made of identities that nobody was given again.
constexpr uint32_t batch_size = 8;
constexpr uint32_t batch_size_free_threaded = 64;

bool is_namesake(const seat &one) noexcept { return pthread_equal(one.self, pthread_self()); }

bool is_thread_gone(const seat &one) noexcept {
    // A thread with the same identity can exist only after the other's end.
    if (is_namesake(one))
        return true;
#if defined(__linux__)
    return syscall(SYS_tgkill, getpid(), one.native_id, 0) != 0 && errno == ESRCH;
#else
    return false;
#endif
}

// The identity is that of a thread which `threading` made.
bool is_given_again(const interpreter &where, const seat &one) noexcept {
    object *stand_ins = where.rooms->stand_ins.load(std::memory_order_acquire);
    return stand_ins && cpython::has_thread(stand_ins, reinterpret_cast<unsigned long>(one.self));
}

// From one list of seats to the head of another.
template <class Predicate> int move(seat *&from, seat *&to, Predicate is_wanted) noexcept {
    int moved = 0;
    for (seat **link = &from; seat *one = *link;) {
        if (!is_wanted(*one)) {
            link = &one->next_of_thread;
            continue;
        }
        *link = one->next_of_thread;
        one->next_of_thread = std::exchange(to, one);
        ++moved;
    }
    return moved;
}
bool any(const seat &) noexcept { return true; }

// A dead state waits whose thread had the identity that the system gave to this one.
bool has_namesake(const waiting_seats &list) noexcept {
    if (list.count.load(std::memory_order_relaxed) == 0)
        return false;
    lock_registry();
    const seat *one = list.first;
    while (one && !is_namesake(*one))
        one = one->next_of_thread;
    unlock_registry();
    return one;
}

// Those from `first` to before `end`. Should memory be too short, they leak, and are counted as not deleted.
void destroy_states(interpreter &where, const seat *first, const seat *end) noexcept {
    const cpython::table &py = cpython::python();
    quietly so;
    cpython::guarded([&] {
        cpython::kept_error kept;
        thread_state *mine = py.current();
        thread_state *scratch = nullptr;
        if (py.delete_spoils_slot) {
            // Deleting another thread's state empties this thread's slot. A scratch state on top takes that blow; when
            // it is gone, ours is bound to the slot again.
            scratch = make_state(where);
            if (!scratch)
                return;
            py.state_swap(scratch);
        }
        // All are cleared, which runs destructors, before the first is deleted, which spoils the slot they may look at.
        for (const seat *one = first; one != end; one = one->next_of_thread) {
            if (py.free_threaded)
                if (thread_state *unused = make_state(where))
                    cpython::empty_free_lists(one->warm, unused);
            py.state_clear(one->warm);
        }
        for (const seat *one = first; one != end; one = one->next_of_thread) {
            py.state_delete(one->warm);
            count(event::states_deleted);
        }
        if (scratch)
            cpython::destroy_swapped(scratch, mine);
    });
}

uint32_t dead_in(const interpreter &where) noexcept { return where.rooms->dead.count.load(std::memory_order_relaxed); }

void reap(interpreter &where, uint32_t at_least) noexcept {
    if (dead_in(where) < at_least || !cpython::python().reaps_foreign_states)
        return;
    reaping now(where);
    now.take_gone();
    now.destroy();
}

} // namespace

// Under the registry's lock:
void reaping::list_held() noexcept {
    if (!std::exchange(is_listed_, true))
        next_ = std::exchange(where_.rooms->reapings, this);
}

template <class Predicate> void reaping::give_back_held(Predicate is_wanted) noexcept {
    seat *back = nullptr;
    move(taken_, back, is_wanted);
    while (seat *one = back) {
        back = one->next_of_thread;
        await_reaping_held(*one);
    }
}

bool reaping::is_other_at_namesake_held() const noexcept {
    for (const reaping *other = where_.rooms->reapings; other; other = other->next_)
        for (const seat *one = other->by_ == by_ ? nullptr : other->taken_; one; one = one->next_of_thread)
            if (is_namesake(*one))
                return true;
    return false;
}

// After what others may wait for; they look again.
void reaping::unlock_and_tell() noexcept {
    rooms &all = *where_.rooms; // kept by this thread's seat
    const bool is_awaited = std::exchange(all.reaping_is_awaited, false);
    all.reapings_changed.fetch_add(1, std::memory_order_relaxed);
    unlock_registry();
    if (is_awaited)
        futex::wake(all.reapings_changed, futex::everyone);
}

reaping::~reaping() {
    if (!is_listed_)
        return;
    lock_registry();
    give_back_held(any);
    reaping **link = &where_.rooms->reapings;
    while (*link != this)
        link = &(*link)->next_;
    *link = next_;
    unlock_and_tell();
}

void reaping::take_namesakes(bool may_wait) noexcept {
    constexpr int64_t patience_ns = 1000000000;
    rooms &all = *where_.rooms;
    int64_t until = 0;
    for (;;) {
        lock_registry();
        if (const int taken = move(all.dead.first, taken_, is_namesake)) {
            all.dead.add(-taken);
            list_held();
        }
        const bool must_wait = may_wait && is_other_at_namesake_held();
        all.reaping_is_awaited |= must_wait;
        const uint32_t seen = all.reapings_changed.load(std::memory_order_relaxed);
        unlock_registry();
        const int64_t now = must_wait ? monotonic_ns() : 0;
        if (!until)
            until = now + patience_ns;
        if (!must_wait || now >= until)
            return;
        futex::wait(all.reapings_changed, seen, until - now);
    }
}

void reaping::take_gone() noexcept {
    const bool is_ft = cpython::python().free_threaded;
    lock_registry();
    list_held();
    where_.rooms->dead.add(-move(where_.rooms->dead.first, taken_, any));
    unlock_registry();
    for (seat *one = taken_; one; one = one->next_of_thread)
        one->is_gone = is_namesake(*one) || (is_thread_gone(*one) && !(is_ft && is_given_again(where_, *one)));
    lock_registry();
    give_back_held([](const seat &one) { return !one.is_gone; });
    unlock_and_tell();
}

void reaping::destroy() noexcept {
    // A fork child clears again what is cleared and not deleted, which a free-threaded Python does not survive: so no
    // destructors run between the two there, and each state is by itself.
    const bool is_each_by_itself = cpython::python().free_threaded;
    for (seat *one = taken_, *end; one; one = end) {
        end = is_each_by_itself ? one->next_of_thread : nullptr;
        destroy_states(where_, one, end);
    }
    lock_registry();
    while (seat *one = taken_) {
        taken_ = one->next_of_thread;
        vacate_held(*one);
    }
    unlock_registry();
}

void reaping::forget_others_held(rooms &all) noexcept {
    for (reaping **link = &all.reapings; reaping *one = *link;) {
        if (one->by_ == &this_thread) {
            for (seat *its = one->taken_; its; its = its->next_of_thread)
                all.of->gate.put_back(*its);
            link = &one->next_;
        } else {
            all.dead.add(move(one->taken_, all.dead.first, any));
            *link = one->next_;
        }
    }
}

void reap_some(interpreter &where) noexcept {
    object *stand_ins = where.rooms->stand_ins.load(std::memory_order_acquire);
    if (stand_ins && cpython::has_several(stand_ins) && has_namesake(where.rooms->dead))
        cpython::forget_namesake(stand_ins);
    reap(where, cpython::python().free_threaded ? batch_size_free_threaded : batch_size);
}

void reap_all(interpreter &where) noexcept { reap(where, 1); }

void reap_namesakes(interpreter &where) noexcept {
    if (!cpython::python().free_threaded || dead_in(where) == 0)
        return;
    reaping now(where);
    now.take_namesakes(false);
    now.destroy();
}

thread_state *make_state(interpreter &where) noexcept {
    const cpython::table &py = cpython::python();
    const bool waits_for_forks = py.free_threaded || py.fork_copies_state_lock;
    if (waits_for_forks)
        begin_stop();
    thread_state *made = cpython::new_state(where.state);
    if (waits_for_forks)
        end_stop();
    return made;
}

} // namespace pyattach
