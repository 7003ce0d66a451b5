// Probe: can Python be had, now or soon?
//
// A thread that attaches cannot give up: it waits for as long as another one keeps the interpreter in native code. So
// where the wait must have an end, as in a stop, a thread made for the purpose attaches first, with a state of its own.
// If that takes too long, it is left waiting, and lets go again at once when its turn comes.
//
// Between its success and the attach of the thread that asked, another one may come by the interpreter and keep it.
// CPython has no way to hand it over, so that moment is as short as it can be made, and remains.
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

    // Whether a thread can attach by then (monotonic clock); the second, whether it can have all others stopped as
    // well, which a free-threaded Python does when it ends: there a thread that is attached in native code holds
    // nothing up before. Not attached. True also if there is no memory, or no thread, to find it out.
    bool can_attach(int64_t deadline_ns) noexcept { return succeeds(false, deadline_ns); }
    bool can_stop_others(int64_t deadline_ns) noexcept;
    // A thread that was left waiting is through with it. Not attached; has no limit.
    void await_last() noexcept;
    bool is_waiting() const noexcept;

  private:
    struct attempt;
    bool succeeds(bool stops_others, int64_t deadline_ns) noexcept;
    static void *make(void *) noexcept;
    static void release(attempt *) noexcept;
    static bool retain_data(interpreter &) noexcept;
    static void release_data(interpreter &) noexcept;

    interpreter &interp_;
    attempt *last_ = nullptr; // shared with the thread that makes it
};

} // namespace pyattach
