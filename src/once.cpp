// Once: one-time initialisation that cannot deadlock against the GIL.
#include "once.hpp"

#include "detached.hpp"
#include "fatal.hpp"
#include "futex.hpp"
#include "interpreter.hpp"

namespace pyattach::once {
namespace {

enum : uint32_t { undone, running, awaited, done };

// The initialiser's thread may be one that the end of the interpreter parked: then it runs for ever.
constexpr int64_t look_again_ns = 50000000;

// Returns when nobody runs it any more, or the waiter's interpreter (in whose gap it waits, if any) is past waiting.
void wait(once_storage &one, const frame *gap) noexcept {
    while (!gap || !gap->where || gap->where->gate.now() < gate::sealed) {
        uint32_t seen = one.state.load(std::memory_order_acquire);
        if (seen == running && !one.state.compare_exchange_strong(seen, awaited, std::memory_order_relaxed))
            continue; // GCOVR_EXCL_LINE: only if another thread changes it between the two
        if (seen == undone || seen == done)
            return;
        futex::wait(one.state, awaited, gap ? look_again_ns : -1);
    }
}

void settle(once_storage &one, uint32_t outcome) noexcept {
    one.runner.store(nullptr, std::memory_order_relaxed);
    // Release: who sees it done sees what init wrote.
    if (one.state.exchange(outcome, std::memory_order_release) == awaited)
        futex::wake(one.state, futex::everyone);
}

status run_slowly(once_storage &one, status (*init)(void *), void *arg) noexcept {
    for (;;) {
        uint32_t seen = undone;
        if (one.state.compare_exchange_strong(seen, running, std::memory_order_acquire)) {
            one.runner.store(&this_thread, std::memory_order_relaxed);
            status outcome = init(arg);
            settle(one, outcome == PYATTACH_OK ? done : undone);
            return outcome;
        }
        if (seen == done)
            return PYATTACH_OK;
        // Only this thread can have stored its own address.
        if (one.runner.load(std::memory_order_relaxed) == &this_thread)
            misuse("pyattach_once_run: the initialiser runs its own once.", "An initialiser does not wait for itself.",
                   "Move the common part out of the initialiser.");
        detached_scope gap;
        bool detach = detached::begin(gap) == PYATTACH_OK;
        wait(one, detach ? &gap.gap : nullptr);
        if (detach)
            if (status refused = detached::end(gap))
                return refused;
    }
}

} // namespace

status run(once_storage &one, status (*init)(void *), void *arg) noexcept {
    if (__builtin_expect(one.state.load(std::memory_order_acquire) == done, 1))
        return PYATTACH_OK;
    return run_slowly(one, init, arg);
}

} // namespace pyattach::once
