// PEP 788's guards, which bridge first contact; and new thread states: what a fork must not find half done.
#include "cpython/cpython.hpp"

#include "base/internal_lock.hpp"
#include "cpython/fork.hpp"
#include "platform/native_thread.hpp"

namespace pyattach::cpython {
namespace {

// Guards held right now, so that a fork child can close those of threads it does not have. A place is taken before the
// guard is, so that nothing but the store of CPython's answer lies between the two: CPython forks with the lock held
// under which it gives guards out. It is given back by a thread that is attached, while which Python does not fork.
struct held_guard {
    std::atomic<void *> guard;
    thread_ident owner;
    std::atomic<bool> is_taken; // after the owner: a fork child reads both, also where the lock was borrowed
};
constexpr int most_guards = 64;
held_guard held[most_guards];
internal_lock held_lock;
internal_lock making_tstate;
bool holds_tstates;

held_guard *take_place() noexcept {
    held_guard *found = nullptr;
    held_lock.lock();
    for (held_guard &one : held)
        if (!one.is_taken.load(std::memory_order_relaxed)) {
            found = &one;
            one.owner = own_ident();
            one.is_taken.store(true, std::memory_order_release);
            break;
        }
    held_lock.unlock();
    return found;
}

void give_back(held_guard &one) noexcept {
    void *guard = one.guard.exchange(nullptr, std::memory_order_relaxed);
    if (guard)
        python().guard_close(guard);
    held_lock.lock();
    one.is_taken.store(false, std::memory_order_relaxed);
    held_lock.unlock();
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

void hold_guards() noexcept { held_lock.hold(); }
void let_guards_go() noexcept { held_lock.let_go(); }
void restart_guards() noexcept { held_lock.restart(); }

thread_state *new_tstate(interp_state *of) noexcept {
    const table &py = python();
    // Not attached, CPython attaches here where its allocator tells tracemalloc.
    if (!py.fork_copies_tstate_lock)
        return guarded([&py, of] { return py.tstate_new(of); });
    making_tstate.lock();
    auto unlock = []() noexcept { making_tstate.unlock(); };
    thread_state *tstate = guarded([&py, of] { return py.tstate_new(of); }, unlock);
    unlock();
    return tstate;
}

void hold_tstates() noexcept {
    if (!python().fork_copies_tstate_lock)
        return;
    constexpr int64_t limit_ns = 100000000;
    holds_tstates = making_tstate.hold_within(limit_ns);
}
void let_tstates_go() noexcept {
    if (holds_tstates)
        making_tstate.let_go();
    holds_tstates = false;
}
void restart_tstates() noexcept {
    making_tstate.restart();
    holds_tstates = false;
}

void release_own_guards() noexcept {
    for (held_guard &one : held) {
        held_lock.lock();
        const bool is_own = one.is_taken.load(std::memory_order_relaxed) && is_same_ident(one.owner, own_ident());
        held_lock.unlock();
        if (is_own)
            give_back(one);
    }
}

void release_lost_guards() noexcept {
    for (held_guard &one : held)
        if (one.is_taken.load(std::memory_order_acquire) && !is_same_ident(one.owner, own_ident()))
            give_back(one);
}

} // namespace pyattach::cpython
