// Probe: tests whether a thread could attach within a time limit.
//
// A thread that attaches cannot give up: it waits for as long as another thread keeps the interpreter in native code.
// So where a wait needs a limit, as in stop(), a helper thread that is made for it attaches first, with a tstate of its
// own. If that takes too long, the helper is left waiting, and detaches as soon as it has attached. The caller may have
// given up long before. So the interpreter's record counts the helpers, and the interpreter is finalized only when none
// is left: finalization frees their tstates, and a thread that waits to attach reads its own.
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
    explicit probe(interpreter &interp) noexcept;
    probe(const probe &) = delete;
    probe &operator=(const probe &) = delete;
    ~probe();

    // Whether a thread can attach before the deadline on the monotonic clock. Not attached. True also if there is no
    // memory, or no thread can be made, to find that out.
    bool can_attach(int64_t deadline_ns) noexcept { return succeeds(false, deadline_ns); }
    // Likewise, whether a thread can attach and, free-threaded, stop all others: finalization stops them, and before
    // that a thread that is attached in native code delays no other one.
    bool can_stop_others(int64_t deadline_ns) noexcept;
    // Waits, without a limit and detached, for the helper threads that were left waiting, also by earlier probes of the
    // interpreter. Attached with `tstate`.
    void await_helpers(thread_state *tstate) noexcept;

  private:
    bool succeeds(bool stops_others, int64_t deadline_ns) noexcept;
    bool are_helpers_over(int64_t deadline_ns) noexcept;

    interpreter &interp_;
    const bool is_retained_; // has a reference to the interp_data. False: CPython has cleared the interpreter
};

} // namespace pyattach
