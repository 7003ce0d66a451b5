// Making and destroying tstates, and storing values in them.
#include "cpython/tstate.hpp"

#include <cstdio>

#include "base/internal_lock.hpp"
#include "cpython/exception.hpp"

namespace pyattach::cpython {
namespace {

const char kept_name[] = "pyattach.thread_state";
std::atomic<void (*)(void *value) noexcept> cleared_hook{nullptr};

internal_lock making_tstate;
bool holds_tstates; // the forking thread holds `making_tstate`

} // namespace

thread_state *new_tstate(interp_state *interp) noexcept {
    const table &py = python();
    // Guarded: on a thread that is not attached, CPython attaches here where its allocator calls tracemalloc.
    if (!py.fork_copies_tstate_lock)
        return guarded([&py, interp] { return py.tstate_new(interp); });
    making_tstate.lock();
    auto unlock = []() noexcept { making_tstate.unlock(); };
    thread_state *tstate = guarded([&py, interp] { return py.tstate_new(interp); }, unlock);
    unlock();
    return tstate;
}

void hold_tstates() noexcept {
    if (!python().fork_copies_tstate_lock)
        return;
    constexpr int64_t limit_ns = 100000000;
    holds_tstates = making_tstate.hold_within(limit_ns);
}
void release_hold_on_tstates() noexcept {
    if (holds_tstates)
        making_tstate.release_hold();
    holds_tstates = false;
}
void restart_tstates() noexcept {
    making_tstate.restart();
    holds_tstates = false;
}

void destroy_current(thread_state *tstate) noexcept {
    guarded([tstate] {
        python().tstate_clear(tstate);
        python().tstate_delete_current();
    });
}

void destroy_swapped(thread_state *tstate, thread_state *previous) noexcept {
    guarded([=] {
        const table &py = python();
        py.tstate_clear(tstate);
        // Deleted while it is current: deleting it after the swap would empty this thread's GILState slot.
        py.tstate_delete_current();
        py.tstate_swap(previous);
    });
}

void empty_free_lists(thread_state *tstate, thread_state *unused) noexcept {
    guarded([=] {
        const table &py = python();
        thread_state *current = py.tstate_swap(tstate);
        py.tstate_clear(unused);
        py.tstate_delete(unused); // before a call that lets a fork in
        py.tstate_swap(current);
    });
}

bool keep_in_tstate(void *value, void (*cleared)(void *) noexcept) noexcept {
    kept_error kept;
    return guarded([=] {
        const table &py = python();
        cleared_hook.store(cleared, std::memory_order_relaxed); // relaxed: every call stores the same function
        object *capsule = py.capsule_new(value, kept_name, [](object *dying) {
            cleared_hook.load(std::memory_order_relaxed)(python().capsule_pointer(dying, kept_name));
        });
        if (!capsule) {
            cleared(value);
            py.error_clear();
            return false;
        }
        // Each copy of this library in the process has a key of its own.
        char key[48];
        std::snprintf(key, sizeof key, "%s.%p", kept_name, static_cast<const void *>(kept_name));
        object *dict = py.tstate_dict();
        bool is_stored = dict && py.dict_set(dict, key, capsule) == 0;
        py.error_clear();
        py.decref(capsule);
        return is_stored;
    });
}

} // namespace pyattach::cpython
