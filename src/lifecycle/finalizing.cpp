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
std::atomic<thread_local_words *> by{nullptr};
std::atomic<bool> is_stop{false}, is_end_expected{false};
// After an end by the host: until then other threads than this one take it to go on.
constexpr int64_t settling_ns = 100000000;
std::atomic<int64_t> settled_at{0};
std::atomic<const thread_local_words *> settling{nullptr};

void begin(bool as_stop) noexcept {
    by.store(&this_thread, std::memory_order_relaxed);
    is_stop.store(as_stop, std::memory_order_relaxed);
    // Sequentially consistent, before CPython says "not initialised": who reads that and then this sees both.
    state.store(yes, std::memory_order_seq_cst);
}

void end() noexcept {
    by.store(nullptr, std::memory_order_relaxed);
    if (state.exchange(no, std::memory_order_release) == awaited)
        futex::wake(state, futex::everyone);
}

// Its atexit callbacks were thrown away, so nothing marked its beginning, but it can be inferred: CPython has raised
// its flag, which goes down with the next start, and the interpreter that was met here is not cleared yet.
bool is_inferred() noexcept {
    const cpython::table &py = cpython::python();
    const interpreter *main = main_interpreter();
    return main && main->hook.load(std::memory_order_acquire) == interpreter::registered && !py.is_initialized() &&
           py.is_finalizing();
}

bool is_settling() noexcept {
    const int64_t until = settled_at.load(std::memory_order_acquire);
    return until && settling.load(std::memory_order_relaxed) != &this_thread && monotonic_ns() < until;
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
    settling.store(&this_thread, std::memory_order_relaxed);
    settled_at.store(monotonic_ns() + settling_ns, std::memory_order_release);
    end();
}
void expect_end() noexcept { is_end_expected.store(true, std::memory_order_relaxed); }

bool is_own() noexcept {
    return by.load(std::memory_order_relaxed) == &this_thread ||
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
