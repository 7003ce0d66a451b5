// PEP 788's guards, which bridge first contact; and new thread states: what a fork must not find half done.
#include "cpython.hpp"

#include <ctime>
#include <pthread.h>

namespace pyattach::cpython {
namespace {

// Guards held right now, so that a fork child can close those of threads it does not have. A place is taken before the
// guard is, so that nothing but the store of CPython's answer lies between the two: CPython forks with the lock held
// under which it gives guards out. It is given back by a thread that is attached, while which Python does not fork.
struct held_guard {
    std::atomic<void *> guard;
    pthread_t owner;
    bool is_taken;
};
constexpr int most_guards = 64;
held_guard held[most_guards];
pthread_mutex_t held_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t making_state = PTHREAD_MUTEX_INITIALIZER;
bool holds_states;

held_guard *take_place() noexcept {
    held_guard *found = nullptr;
    pthread_mutex_lock(&held_lock);
    for (held_guard &one : held)
        if (!one.is_taken) {
            found = &one;
            one.owner = pthread_self();
            one.is_taken = true;
            break;
        }
    pthread_mutex_unlock(&held_lock);
    return found;
}

void give_back(held_guard &one) noexcept {
    void *guard = one.guard.exchange(nullptr, std::memory_order_relaxed);
    if (guard)
        python().guard_close(guard);
    pthread_mutex_lock(&held_lock);
    one.is_taken = false;
    pthread_mutex_unlock(&held_lock);
}

} // namespace

void *guard_main(bool *refused) noexcept {
    const table &py = python();
    *refused = false;
    if (!py.view_main || !py.guard_from_view || !py.guard_close || !py.view_close)
        return nullptr;
    held_guard *place = take_place();
    void *view = place ? py.view_main() : nullptr;
    if (view) {
        place->guard.store(py.guard_from_view(view), std::memory_order_relaxed);
        *refused = !place->guard.load(std::memory_order_relaxed);
        py.view_close(view);
    }
    if (place && !place->guard.load(std::memory_order_relaxed)) {
        give_back(*place);
        place = nullptr;
    }
    return place;
}

void release_guard(void *guard) noexcept {
    if (guard)
        give_back(*static_cast<held_guard *>(guard));
}

void hold_guards() noexcept { pthread_mutex_lock(&held_lock); }
void let_guards_go() noexcept { pthread_mutex_unlock(&held_lock); }

thread_state *new_state(interpreter_state *of) noexcept {
    const table &py = python();
    // Not attached, CPython attaches here where its allocator tells tracemalloc.
    if (!py.fork_copies_state_lock)
        return guarded([&py, of] { return py.state_new(of); });
    pthread_mutex_lock(&making_state);
    auto unlock = []() noexcept { pthread_mutex_unlock(&making_state); };
    thread_state *made = guarded([&py, of] { return py.state_new(of); }, unlock);
    unlock();
    return made;
}

void hold_states() noexcept {
    if (!python().fork_copies_state_lock)
        return;
    timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    constexpr long limit_ns = 100000000, second_ns = 1000000000;
    until.tv_sec += (until.tv_nsec + limit_ns) / second_ns;
    until.tv_nsec = (until.tv_nsec + limit_ns) % second_ns;
    holds_states = pthread_mutex_timedlock(&making_state, &until) == 0;
}
void let_states_go() noexcept {
    if (holds_states)
        pthread_mutex_unlock(&making_state);
    holds_states = false;
}

void release_lost_guards() noexcept {
    for (held_guard &one : held)
        if (one.is_taken && !pthread_equal(one.owner, pthread_self()))
            give_back(one);
}

} // namespace pyattach::cpython
