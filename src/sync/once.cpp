// Once: one-time initialisation that cannot deadlock against the GIL.
#include "sync/once.hpp"

#include "base/diagnostics.hpp"
#include "core/after_fork.hpp"
#include "core/interpreter.hpp"
#include "cpython/guarded.hpp"
#include "lifecycle/fork.hpp"
#include "platform/futex.hpp"
#include "platform/kept_errno.hpp"
#include "scopes/detached.hpp"

namespace pyattach::once {
namespace {

// The lower two bits of the state. While an initialiser runs, the others hold the fork generation of its process.
enum : uint32_t { undone, running, awaited, done, kind = 3 };

// The initialiser's thread may be one that the end of the interpreter parked: then it runs for ever.
constexpr int64_t look_again_ns = 50000000;

uint32_t running_here() noexcept { return fork_generation.load(std::memory_order_relaxed) << 2 | running; }

bool is_under_way(uint32_t seen) noexcept { return (seen & kind) == running || (seen & kind) == awaited; }

// The initialiser was run by a thread that this fork child does not have, so it is to run anew, as POSIX has it for
// pthread_once. The state was written before the fork, and so was the runner, if it is the thread that survived: that
// thread is in its initialiser still. Of any other thread nothing will come any more, also where the address of its
// words is a new thread's by now.
bool is_left_behind(const once_storage &once, uint32_t seen) noexcept {
    return is_under_way(seen) && (seen & ~kind) != (running_here() & ~kind) &&
           once.runner.load(std::memory_order_relaxed) != surviving_thread.load(std::memory_order_relaxed);
}

// Returns when no initialiser runs any more, or the waiter's interpreter (in whose gap it waits, if any) is past
// waiting.
void wait(once_storage &once, const frame *detached_frame) noexcept {
    while (!detached_frame || !detached_frame->interp || detached_frame->interp->gate.now() < gate::sealed) {
        uint32_t seen = once.state.load(std::memory_order_acquire);
        const uint32_t marked = (seen & ~kind) | awaited;
        if ((seen & kind) == running && !once.state.compare_exchange_strong(seen, marked, std::memory_order_relaxed))
            continue; // GCOVR_EXCL_LINE: only if another thread changes it between the two
        if (!is_under_way(seen))
            return;
        futex::wait(once.state, marked, detached_frame ? look_again_ns : -1);
    }
}

void enlist(once_storage &once, uint32_t outcome) noexcept {
    once.runner.store(nullptr, std::memory_order_relaxed);
    // Release: a thread that sees it done sees what init wrote.
    if ((once.state.exchange(outcome, std::memory_order_release) & kind) == awaited)
        futex::wake(once.state, futex::everyone);
}

status run_slow(once_storage &once, status (*init)(void *), void *arg) noexcept {
    const kept_errno kept;
    if (!prepare_fork()) // a child counts its generation
        return PYATTACH_NO_MEMORY;
    for (;;) {
        uint32_t seen = once.state.load(std::memory_order_acquire);
        if (seen == done)
            return PYATTACH_OK;
        if (seen == undone || is_left_behind(once, seen)) {
            if (!once.state.compare_exchange_strong(seen, running_here(), std::memory_order_acquire))
                continue; // GCOVR_EXCL_LINE: only if another thread changes it between the two
            once.runner.store(&this_thread, std::memory_order_relaxed);
            // The user's, which may call Python without this library. Ended inside, the thread is parked here, and the
            // next one begins anew.
            status outcome =
                cpython::guarded([init, arg] { return init(arg); }, [&once]() noexcept { enlist(once, undone); });
            enlist(once, outcome == PYATTACH_OK ? done : undone);
            return outcome;
        }
        // Only this thread can have stored its own address.
        if (once.runner.load(std::memory_order_relaxed) == &this_thread)
            misuse("pyattach_once_run: the initialiser runs its own once.", "An initialiser does not wait for itself.",
                   "Move the common part out of the initialiser.");
        detached_scope detached_frame;
        bool detach = detached::begin(detached_frame) == PYATTACH_OK;
        wait(once, detach ? &detached_frame.detached_frame : nullptr);
        if (detach)
            if (status refused = detached::end(detached_frame))
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
