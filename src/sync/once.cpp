// Once: one-time initialization that cannot deadlock against the GIL.
#include "sync/once.hpp"

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/interpreter.hpp"
#include "core/trace.hpp"
#include "cpython/guarded.hpp"
#include "lifecycle/fork.hpp"
#include "platform/futex.hpp"
#include "platform/kept_errno.hpp"
#include "scopes/detached.hpp"

namespace pyattach::once {
namespace {

// The lower two bits of the state. While an initializer runs, the other bits hold the fork generation of its process.
//
//                 a thread begins          another thread waits
//      undone ------------------> running ----------------------> awaited
//        ^                           |                               |
//        |      init failed          |                               |       init returned OK
//        +---------------------------+-------------------------------+------------------------> done
//
// In a fork child, a thread that finds running or awaited with the initializer's thread left behind begins anew.
enum : uint32_t { undone, running, awaited, done, kind = 3 };

// A waiting thread wakes by itself to check the gate. The end of the interpreter may have parked the initializer's
// thread, and then the initializer never returns.
constexpr int64_t recheck_ns = 50000000;

uint32_t running_in_this_process() noexcept { return fork_generation.load(std::memory_order_relaxed) << 2 | running; }

bool is_under_way(uint32_t seen) noexcept { return (seen & kind) == running || (seen & kind) == awaited; }

// The thread that ran the initializer is not in this fork child, so the initializer runs anew, as POSIX specifies for
// pthread_once. The state is from before the fork. If the runner is the thread that survived the fork, it still runs
// its initializer. Any other runner is not in the child, even if a new thread's words have the runner's address now.
bool is_left_behind(const once_storage &once, uint32_t seen) noexcept {
    return is_under_way(seen) && (seen & ~kind) != (running_in_this_process() & ~kind) &&
           once.runner.load(std::memory_order_relaxed) != surviving_thread.load(std::memory_order_relaxed);
}

// Returns when no initializer runs any more, or when the gate of the interpreter from which the waiting thread detached
// is sealed. `detached_frame`: the frame of that detached scope; NULL: the thread did not detach.
void wait(once_storage &once, const frame *detached_frame) noexcept {
    while (!detached_frame || !detached_frame->interp || detached_frame->interp->gate.now() < gate::sealed) {
        uint32_t seen = once.state.load(std::memory_order_acquire);
        const uint32_t marked = (seen & ~kind) | awaited;
        if ((seen & kind) == running && !once.state.compare_exchange_strong(seen, marked, std::memory_order_relaxed))
            continue; // GCOVR_EXCL_LINE: only if another thread changes the state in between
        if (!is_under_way(seen))
            return;
        futex::wait(once.state, marked, detached_frame ? recheck_ns : -1);
    }
}

void finish(once_storage &once, uint32_t outcome) noexcept {
    once.runner.store(nullptr, std::memory_order_relaxed);
    if ((once.state.load(std::memory_order_relaxed) & kind) == awaited)
        trace::lock_event(trace::kind::lock_released, trace::lock_kind::once, &once);
    // Release: a thread that loads `done` also reads what init wrote.
    if ((once.state.exchange(outcome, std::memory_order_release) & kind) == awaited)
        futex::wake(once.state, futex::everyone);
}

status run_slow(once_storage &once, status (*init)(void *), void *arg) noexcept {
    const kept_errno kept;
    if (!prepare_fork()) // registers the handler that counts fork generations
        return PYATTACH_NO_MEMORY;
    for (;;) {
        uint32_t seen = once.state.load(std::memory_order_acquire);
        if (seen == done)
            return PYATTACH_OK;
        if (seen == undone || is_left_behind(once, seen)) {
            if (!once.state.compare_exchange_strong(seen, running_in_this_process(), std::memory_order_acquire))
                continue; // GCOVR_EXCL_LINE: only if another thread changes the state in between
            once.runner.store(&this_thread, std::memory_order_relaxed);
            // Guarded, because user code may call Python without this library. If CPython ends the thread inside, the
            // thread is parked here, and the next thread begins anew.
            status outcome =
                cpython::guarded([init, arg] { return init(arg); }, [&once]() noexcept { finish(once, undone); });
            finish(once, outcome == PYATTACH_OK ? done : undone);
            return outcome;
        }
        // Only this thread stores its own address, so the relaxed load cannot be mistaken.
        if (once.runner.load(std::memory_order_relaxed) == &this_thread)
            misuse("pyattach_once_run: the initializer runs its own once.", "An initializer does not wait for itself.",
                   "Move the common part out of the initializer.");
        detached_scope scope;
        const bool is_detached = detached::begin(scope) == PYATTACH_OK;
        trace::lock_event(trace::kind::lock_waits, trace::lock_kind::once, &once);
        wait(once, is_detached ? &scope.frame : nullptr);
        trace::lock_event(trace::kind::lock_gone, trace::lock_kind::once, &once);
        if (is_detached)
            if (status refused = detached::end(scope))
                return refused;
    }
}

} // namespace

status run(once_storage &storage, status (*init)(void *), void *arg) noexcept {
    if (__builtin_expect(storage.state.load(std::memory_order_acquire) == done, 1))
        return PYATTACH_OK;
    return run_slow(storage, init, arg);
}

} // namespace pyattach::once
