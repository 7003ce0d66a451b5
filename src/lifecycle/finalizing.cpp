// Finalizing: the main interpreter's end.
#include "lifecycle/finalizing.hpp"

#include "core/interpreter.hpp"
#include "platform/clock.hpp"
#include "platform/futex.hpp"
#include "platform/uncancelled.hpp"

namespace pyattach::finalizing {
namespace {

enum : uint32_t { no, yes, awaited };
futex::word state{no};
std::atomic<thread_local_words *> finalizing_thread{nullptr};
std::atomic<bool> is_stop{false}, is_end_expected{false};
// After an end by the host, threads other than the finalizing one treat it as under way for this time, while
// Py_FinalizeEx executes its last instructions on the finalizing thread, the settling one.
constexpr int64_t settling_ns = 100000000;
std::atomic<int64_t> settled_at_ns{0};
std::atomic<const thread_local_words *> settling_thread{nullptr};

void begin(bool as_stop) noexcept {
    finalizing_thread.store(&this_thread, std::memory_order_relaxed);
    is_stop.store(as_stop, std::memory_order_relaxed);
    // Sequentially consistent, and stored before CPython reports "not initialized". So a thread that reads that report
    // and then this word reads `yes`.
    state.store(yes, std::memory_order_seq_cst);
}

void end() noexcept {
    finalizing_thread.store(nullptr, std::memory_order_relaxed);
    if (state.exchange(no, std::memory_order_release) == awaited)
        futex::wake(state, futex::everyone);
}

// Whether an end is under way whose beginning was not recorded, because the atexit callbacks were discarded. It is
// inferred: CPython has set its finalizing flag, which the next start resets, and the registered main interpreter is
// not cleared yet.
bool is_inferred() noexcept {
    const cpython::table &py = cpython::python();
    const interpreter *main = main_interpreter();
    return main && main->hook.load(std::memory_order_acquire) == interpreter::registered && !py.is_initialized() &&
           py.is_finalizing();
}

bool is_settling() noexcept {
    const int64_t until_ns = settled_at_ns.load(std::memory_order_acquire);
    return until_ns && settling_thread.load(std::memory_order_relaxed) != &this_thread && monotonic_ns() < until_ns;
}

} // namespace

void begin_stop() noexcept { begin(true); }
void end_stop() noexcept {
    is_stop.store(false, std::memory_order_relaxed);
    end();
}

void begin_by_host() noexcept {
    if (state.load(std::memory_order_relaxed) == no && is_end_expected.load(std::memory_order_relaxed))
        begin(false);
}
void end_by_host() noexcept {
    is_end_expected.store(false, std::memory_order_relaxed);
    if (is_stop.load(std::memory_order_relaxed))
        return;
    settling_thread.store(&this_thread, std::memory_order_relaxed);
    settled_at_ns.store(monotonic_ns() + settling_ns, std::memory_order_release);
    end();
}
void expect_end() noexcept { is_end_expected.store(true, std::memory_order_relaxed); }

bool is_own() noexcept {
    return finalizing_thread.load(std::memory_order_relaxed) == &this_thread ||
           (state.load(std::memory_order_relaxed) == no && is_inferred() &&
            main_thread_id.load(std::memory_order_relaxed) == own_native_id());
}
bool is_under_way() noexcept { return state.load(std::memory_order_seq_cst) != no || is_inferred() || is_settling(); }

void await() noexcept {
    while (uint32_t seen = state.load(std::memory_order_acquire)) {
        if (seen == yes && !state.compare_exchange_strong(seen, awaited, std::memory_order_relaxed))
            continue; // GCOVR_EXCL_LINE: only if another thread changes it between the two
        futex::wait(state, awaited);
    }
    while (state.load(std::memory_order_acquire) == no && (is_inferred() || is_settling())) {
        sleep_uncancelled(1000000);
    }
}

void forget() noexcept {
    if (!is_own())
        state.store(no, std::memory_order_relaxed);
}

} // namespace pyattach::finalizing
