// Probe: can Python be had, now or soon?
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
    std::atomic<int> refs{2}; // the thread that asked, and the one that finds out

    attempt(interpreter &there, bool others) noexcept : interp(there), stops_others(others) {}
};

void probe::release(attempt *held) noexcept {
    if (held && held->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        held->~attempt();
        std::free(held);
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

// On a thread of its own. It is no thread of this library's otherwise: it has no record and no participant, so no exit
// waits for it.
void *probe::make(void *shared) noexcept {
    auto *mine = static_cast<attempt *>(shared);
    {
        reap_batch same_ident_batch(mine->interp);
        if (cpython::python().free_threaded) {
            same_ident_batch.take_same_ident();
            same_ident_batch.destroy_before_attach(nullptr);
        }
    }
    // The interp_data are held for this thread, since it has no participant. Should it be parked here, they are never
    // freed.
    if (thread_state *tstate = make_tstate(mine->interp)) {
        cpython::restore(tstate);
        if (mine->stops_others)
            cpython::stop_others_once();
        // An interpreter that ends up to 3.13 tolerates no other state: so it goes before this is said to be over.
        cpython::destroy_current(tstate);
    }
    release_data(mine->interp);
    mine->is_over.store(1, std::memory_order_release);
    futex::wake(mine->is_over, futex::everyone);
    release(mine);
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
    // One that was left waiting comes first: while it waits, a second one would, too.
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
        const bool is_made = start_helper(make, last_);
        if (!is_made) {
            release_data(interp_);
            last_->refs.store(1, std::memory_order_relaxed); // there is no other thread to hold it
            release(last_);
            last_ = nullptr;
            return true;
        }
    }
}

} // namespace pyattach
