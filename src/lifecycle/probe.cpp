// Probe: tests whether a thread could attach within a time limit.
#include "lifecycle/probe.hpp"

#include <cstdlib>
#include <new>

#include "cpython/finalize.hpp"
#include "cpython/guarded.hpp"
#include "cpython/tstate.hpp"
#include "platform/clock.hpp"
#include "platform/native_thread.hpp"
#include "tstate/new_tstate.hpp"
#include "tstate/reaper.hpp"

namespace pyattach {

struct probe::attempt {
    interpreter &interp;
    const bool stops_others;
    futex::word is_over{0};
    std::atomic<int> refs{2}; // of the probe and of the helper thread

    attempt(interpreter &of, bool others) noexcept : interp(of), stops_others(others) {}
};

void probe::release(attempt *shared) noexcept {
    if (shared && shared->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        shared->~attempt();
        std::free(shared);
    }
}

bool probe::retain_data(interpreter &interp) noexcept {
    lock_registry();
    const bool is_there = !interp.is_cleared();
    if (is_there)
        ++interp.data->refs;
    unlock_registry();
    return is_there;
}

void probe::release_data(interpreter &interp) noexcept {
    lock_registry();
    release_data_locked(interp);
    unlock_registry();
}

probe::~probe() { release(last_); }

// On the helper thread. It has no record and no participant, so no exit waits for it.
void *probe::run_helper(void *shared) noexcept {
    auto *probed = static_cast<attempt *>(shared);
    {
        reap_batch same_ident_batch(probed->interp);
        if (cpython::python().free_threaded) {
            same_ident_batch.take_same_ident();
            same_ident_batch.destroy_before_attach(nullptr);
        }
    }
    // The helper has a reference to the interp_data of its own, because it has no participant. If it is parked here,
    // the data are never freed.
    if (thread_state *tstate = make_tstate(probed->interp)) {
        cpython::restore(tstate);
        if (probed->stops_others)
            cpython::stop_others_once();
        // Up to 3.13 an interpreter that ends tolerates no other tstate. So the tstate is destroyed before `is_over` is
        // set.
        cpython::destroy_current(tstate);
    }
    release_data(probed->interp);
    probed->is_over.store(1, std::memory_order_release);
    futex::wake(probed->is_over, futex::everyone);
    release(probed);
    return nullptr;
}

bool probe::is_waiting() const noexcept { return last_ && !last_->is_over.load(std::memory_order_acquire); }

void probe::await_last() noexcept {
    while (is_waiting())
        futex::wait(last_->is_over, 0);
}

bool probe::can_stop_others(int64_t deadline_ns) noexcept {
    return succeeds(cpython::python().free_threaded, deadline_ns);
}

bool probe::succeeds(bool stops_others, int64_t deadline_ns) noexcept {
    // A helper that was left waiting is waited for first, because while it waits, a second one would wait, too.
    for (int tries = 0;; ++tries) {
        for (int64_t left; is_waiting(); futex::wait(last_->is_over, 0, left))
            if ((left = deadline_ns - monotonic_ns()) <= 0)
                return false;
        if (tries)
            return true;
        release(last_);
        void *memory = std::malloc(sizeof(attempt));
        if (!memory || !retain_data(interp_)) {
            std::free(memory);
            last_ = nullptr;
            return true;
        }
        last_ = new (memory) attempt(interp_, stops_others);
        const bool is_made = start_helper(run_helper, last_);
        if (!is_made) {
            release_data(interp_);
            last_->refs.store(1, std::memory_order_relaxed); // there is no helper
            release(last_);
            last_ = nullptr;
            return true;
        }
    }
}

} // namespace pyattach
