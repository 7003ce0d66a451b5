// New tstates: made while nobody forks.
#include "tstate/new_tstate.hpp"

#include "base/deadline.hpp"
#include "core/current.hpp"
#include "cpython/guarded.hpp"
#include "cpython/tstate.hpp"
#include "platform/futex.hpp"

namespace pyattach {
namespace {

// Store one, then look at the other, on both sides and sequentially consistent: whichever store comes second is
// followed by a look that sees the first.
futex::word forks{0};
futex::word stops{0};

// Lets go of the interpreter, if it is this thread's, until the word is zero, or the time has come.
void await_none(futex::word &at, lazy_deadline &limit) noexcept {
    uint32_t now = at.load(std::memory_order_seq_cst);
    if (now == 0)
        return;
    const cpython::table &py = cpython::python();
    cpython::thread_state *tstate = current_tstate() ? cpython::save(py) : nullptr;
    for (int64_t left; now != 0 && (left = limit.left_ns()) > 0;) {
        futex::wait(at, now, left);
        now = at.load(std::memory_order_seq_cst);
    }
    if (tstate)
        cpython::restore(tstate);
}

} // namespace

thread_state *make_tstate(interpreter &interp) noexcept {
    const cpython::table &py = cpython::python();
    const bool waits_for_forks = py.free_threaded || py.fork_copies_tstate_lock;
    if (waits_for_forks)
        begin_stop();
    const bool was_cleared = interp.is_cleared();
    thread_state *tstate = was_cleared ? nullptr : cpython::new_tstate(interp.state);
    if (waits_for_forks)
        end_stop();
    return tstate;
}

void begin_stop() noexcept {
    for (lazy_deadline limit;;) {
        stops.fetch_add(1, std::memory_order_seq_cst);
        if (forks.load(std::memory_order_seq_cst) == 0 || limit.left_ns() <= 0)
            return;
        end_stop();
        await_none(forks, limit);
    }
}

void end_stop() noexcept {
    stops.fetch_sub(1, std::memory_order_seq_cst);
    if (forks.load(std::memory_order_seq_cst) != 0)
        futex::wake(stops, futex::everyone);
}

void on_before_fork() noexcept {
    ++this_thread.forking;
    forks.fetch_add(1, std::memory_order_seq_cst);
    lazy_deadline limit;
    await_none(stops, limit);
}

void on_after_fork_in_parent() noexcept {
    // Neither below zero, should Python call this without the other.
    if (this_thread.forking)
        --this_thread.forking;
    uint32_t now = forks.load(std::memory_order_relaxed);
    while (now > 0 && !forks.compare_exchange_weak(now, now - 1, std::memory_order_seq_cst))
        ;
    futex::wake(forks, futex::everyone);
}

void forget_os_fork() noexcept {
    forks.store(0, std::memory_order_relaxed);
    stops.store(0, std::memory_order_relaxed);
}

void end_all_os_forks() noexcept {
    forks.store(0, std::memory_order_seq_cst);
    futex::wake(forks, futex::everyone);
}

} // namespace pyattach
