// New tstates: made while no fork is under way.
#include "tstate/new_tstate.hpp"

#include "base/deadline.hpp"
#include "core/current.hpp"
#include "cpython/guarded.hpp"
#include "cpython/tstate.hpp"
#include "platform/futex.hpp"

namespace pyattach {
namespace {

// How many forks are under way, and how many threads make a tstate. Each side stores to its own word and then loads
// the other one, all sequentially consistent. So the side that stores second loads what the first one stored (Dekker).
futex::word forks{0};
futex::word makers{0};

// Waits until the word is zero, or until the deadline. If the thread is attached, it is detached meanwhile.
void await_none(futex::word &count, lazy_deadline &limit) noexcept {
    uint32_t seen = count.load(std::memory_order_seq_cst);
    if (seen == 0)
        return;
    const cpython::table &py = cpython::python();
    cpython::thread_state *tstate = current_tstate() ? cpython::save(py) : nullptr;
    for (int64_t left; seen != 0 && (left = limit.left_ns()) > 0;) {
        futex::wait(count, seen, left);
        seen = count.load(std::memory_order_seq_cst);
    }
    if (tstate)
        cpython::restore(tstate);
}

void end_making() noexcept {
    makers.fetch_sub(1, std::memory_order_seq_cst);
    if (forks.load(std::memory_order_seq_cst) != 0)
        futex::wake(makers, futex::everyone);
}

// If a fork is under way, waits for its end, for one second at most. Attached or not.
void begin_making() noexcept {
    for (lazy_deadline limit;;) {
        makers.fetch_add(1, std::memory_order_seq_cst);
        if (forks.load(std::memory_order_seq_cst) == 0 || limit.left_ns() <= 0)
            return;
        end_making();
        await_none(forks, limit);
    }
}

} // namespace

thread_state *make_tstate(interpreter &interp) noexcept {
    const cpython::table &py = cpython::python();
    const bool waits_for_forks = py.free_threaded || py.fork_copies_tstate_lock;
    if (waits_for_forks)
        begin_making();
    const bool was_cleared = interp.is_cleared();
    thread_state *tstate = was_cleared ? nullptr : cpython::new_tstate(interp.state);
    if (waits_for_forks)
        end_making();
    return tstate;
}

void on_before_fork() noexcept {
    ++this_thread.forking;
    forks.fetch_add(1, std::memory_order_seq_cst);
    lazy_deadline limit;
    await_none(makers, limit);
}

void on_after_fork_in_parent() noexcept {
    // Neither count goes below zero if CPython calls this function without on_before_fork.
    if (this_thread.forking)
        --this_thread.forking;
    uint32_t seen = forks.load(std::memory_order_relaxed);
    while (seen > 0 && !forks.compare_exchange_weak(seen, seen - 1, std::memory_order_seq_cst))
        ;
    futex::wake(forks, futex::everyone);
}

void forget_os_fork() noexcept {
    forks.store(0, std::memory_order_relaxed);
    makers.store(0, std::memory_order_relaxed);
}

void end_all_os_forks() noexcept {
    forks.store(0, std::memory_order_seq_cst);
    futex::wake(forks, futex::everyone);
}

void destroy_detached(interpreter &interp, thread_state *detached) noexcept {
    cpython::guarded([&interp, detached] {
        const cpython::table &py = cpython::python();
        if (thread_state *unused = make_tstate(interp))
            cpython::empty_free_lists(detached, unused);
        py.tstate_clear(detached);
        py.tstate_delete(detached);
    });
    count(event::states_deleted);
}

} // namespace pyattach
