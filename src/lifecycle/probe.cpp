// Probe: tests whether a thread could attach within a time limit.
#include "lifecycle/probe.hpp"

#include "cpython/finalize.hpp"
#include "cpython/guarded.hpp"
#include "cpython/tstate.hpp"
#include "platform/clock.hpp"
#include "platform/native_thread.hpp"
#include "tstate/new_tstate.hpp"
#include "tstate/reaper.hpp"

namespace pyattach {
namespace {

bool retain_data(interpreter &interp) noexcept {
    lock_registry();
    const bool is_there = !interp.is_cleared();
    if (is_there)
        ++interp.data->refs;
    unlock_registry();
    return is_there;
}

void release_data(interpreter &interp) noexcept {
    lock_registry();
    release_data_locked(interp);
    unlock_registry();
}

// On the helper thread. It has no record and no participant, so no exit waits for it.
template <bool stops_others> void *run_helper(void *record) noexcept {
    auto &interp = *static_cast<interpreter *>(record);
    {
        reap_batch same_ident_batch(interp);
        if (cpython::python().free_threaded) {
            same_ident_batch.take_same_ident();
            same_ident_batch.destroy_before_attach(nullptr);
        }
    }
    // The helper has a reference to the interp_data of its own, because it has no participant. If it is parked here,
    // the data are never freed.
    if (thread_state *tstate = make_tstate(interp)) {
        cpython::restore(tstate);
        if (stops_others)
            cpython::stop_others_once();
        cpython::destroy_current(tstate);
    }
    // Only now: the finalizing thread waits for this, and no other tstate may be left then.
    interp.data->probing.fetch_sub(1, std::memory_order_release);
    futex::wake(interp.data->probing, futex::everyone);
    release_data(interp);
    return nullptr;
}

} // namespace

probe::probe(interpreter &interp) noexcept : interp_(interp), is_retained_(retain_data(interp)) {}
probe::~probe() {
    if (is_retained_)
        release_data(interp_);
}

bool probe::are_helpers_over(int64_t deadline_ns) noexcept {
    futex::word &probing = interp_.data->probing;
    while (const uint32_t seen = probing.load(std::memory_order_acquire)) {
        const bool is_limited = deadline_ns != INT64_MAX;
        const int64_t left = is_limited ? deadline_ns - monotonic_ns() : -1;
        if (is_limited && left <= 0)
            return false;
        futex::wait(probing, seen, left);
    }
    return true;
}

void probe::await_helpers(thread_state *tstate) noexcept {
    if (!is_retained_ || !interp_.data->probing.load(std::memory_order_acquire))
        return;
    cpython::save();
    are_helpers_over(INT64_MAX);
    cpython::restore(tstate);
}

bool probe::can_stop_others(int64_t deadline_ns) noexcept {
    return succeeds(cpython::python().free_threaded, deadline_ns);
}

bool probe::succeeds(bool stops_others, int64_t deadline_ns) noexcept {
    if (!is_retained_)
        return true;
    // A helper that was left waiting is waited for first, because while it waits, a second one would wait, too.
    if (!are_helpers_over(deadline_ns))
        return false;
    if (!retain_data(interp_))
        return true;
    interp_.data->probing.fetch_add(1, std::memory_order_relaxed);
    if (!start_helper(stops_others ? run_helper<true> : run_helper<false>, &interp_)) {
        interp_.data->probing.fetch_sub(1, std::memory_order_relaxed);
        release_data(interp_);
        return true;
    }
    return are_helpers_over(deadline_ns);
}

} // namespace pyattach
