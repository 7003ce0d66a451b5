// Probe: tests whether a thread could attach within a time limit.
//
// A thread that attaches cannot give up: it waits for as long as another thread keeps the interpreter in native code.
// So where a wait needs a limit, as in stop(), a helper thread that is made for it attaches first, with a tstate of its
// own. If that takes too long, the helper is left waiting, and detaches as soon as it has attached.
//
// Between the success of the probe and the attach of the thread that asked for it, another thread may attach and stay
// attached. CPython has no way to pass the interpreter on to a certain thread, so this interval can be made short but
// cannot be closed.
#pragma once

#include <cstdint>

#include "core/interpreter.hpp"

namespace pyattach {

class probe {
  public:
    explicit probe(interpreter &interp) noexcept : interp_(interp) {}
    probe(const probe &) = delete;
    probe &operator=(const probe &) = delete;
    ~probe();

    // Whether a thread can attach before the deadline on the monotonic clock. Not attached. True also if there is no
    // memory, or no thread can be made, to find that out.
    bool can_attach(int64_t deadline_ns) noexcept { return succeeds(false, deadline_ns); }
    // Likewise, whether a thread can attach and, free-threaded, stop all others: finalization stops them, and before
    // that a thread that is attached in native code delays no other one.
    bool can_stop_others(int64_t deadline_ns) noexcept;
    // Whether a helper thread was left waiting and has not ended yet.
    bool is_waiting() const noexcept;
    // Waits for that helper, without a limit. Not attached.
    void await_last() noexcept;

  private:
    struct attempt;
    bool succeeds(bool stops_others, int64_t deadline_ns) noexcept;
    static void *run_helper(void *shared) noexcept;
    static void release(attempt *shared) noexcept;
    static bool retain_data(interpreter &interp) noexcept;
    static void release_data(interpreter &interp) noexcept;

    interpreter &interp_;
    attempt *last_ = nullptr; // shared with its helper thread
};

} // namespace pyattach
