// Guards of PEP 788.
#include "cpython/guards.hpp"

#include "base/internal_lock.hpp"
#include "platform/native_thread.hpp"

namespace pyattach::cpython {
namespace {

// The guards that are held now, so that a fork child can close those of threads that are not in the child.
//
// A thread takes an entry before it requests the guard, so that between CPython's answer and its store into the entry
// there is nothing else. CPython forks with the lock held under which it gives guards out. A thread that has succeeded
// in attaching gives its entry back while it is attached, and Python does not fork meanwhile.
struct held_guard {
    std::atomic<void *> guard;
    thread_ident owner;
    std::atomic<bool> is_taken; // stored after `owner`: a fork child reads both, also where the lock was borrowed
};
constexpr int max_guards = 64;
held_guard held[max_guards];
internal_lock held_lock;

held_guard *take_entry() noexcept {
    held_guard *taken = nullptr;
    held_lock.lock();
    for (held_guard &entry : held)
        if (!entry.is_taken.load(std::memory_order_relaxed)) {
            taken = &entry;
            entry.owner = own_ident();
            // Release pairs with the acquire in release_lost_guards().
            entry.is_taken.store(true, std::memory_order_release);
            break;
        }
    held_lock.unlock();
    return taken;
}

// Closes the guard, if there is one, and frees the entry.
void close_entry(held_guard &entry) noexcept {
    void *guard = entry.guard.exchange(nullptr, std::memory_order_relaxed);
    if (guard)
        python().guard_close(guard);
    held_lock.lock();
    entry.is_taken.store(false, std::memory_order_relaxed);
    held_lock.unlock();
}

} // namespace

void *guard_main(bool *refused) noexcept {
    const table &py = python();
    *refused = false;
    if (!py.view_main || !py.guard_from_view || !py.guard_close || !py.view_close)
        return nullptr;
    held_guard *entry = take_entry();
    void *view = entry ? py.view_main() : nullptr;
    if (view) {
        entry->guard.store(py.guard_from_view(view), std::memory_order_relaxed);
        *refused = !entry->guard.load(std::memory_order_relaxed);
        py.view_close(view);
    }
    if (entry && !entry->guard.load(std::memory_order_relaxed)) {
        close_entry(*entry);
        entry = nullptr;
    }
    return entry;
}

void release_guard(void *guard) noexcept {
    if (guard)
        close_entry(*static_cast<held_guard *>(guard));
}

void release_own_guards() noexcept {
    for (held_guard &entry : held) {
        held_lock.lock();
        const bool is_own = entry.is_taken.load(std::memory_order_relaxed) && is_same_ident(entry.owner, own_ident());
        held_lock.unlock();
        if (is_own)
            close_entry(entry);
    }
}

void release_lost_guards() noexcept {
    for (held_guard &entry : held)
        if (entry.is_taken.load(std::memory_order_acquire) && !is_same_ident(entry.owner, own_ident()))
            close_entry(entry);
}

void hold_guards() noexcept { held_lock.hold(); }
void release_hold_on_guards() noexcept { held_lock.release_hold(); }
void restart_guards() noexcept { held_lock.restart(); }

} // namespace pyattach::cpython
