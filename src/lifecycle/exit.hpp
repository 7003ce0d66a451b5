// The end of an interpreter: call the exit callbacks, wait for the holds, close the gate, wait for the threads inside,
// release what is left. Without holds the gate closes first.
#pragma once

#include "lifecycle/probe.hpp"
#include "pyattach/interpreter.h"

namespace pyattach {

struct interpreter;
struct participant;

// The exit hook: the interpreter's atexit calls it on an attached thread, with the interpreter's record.
void close_interpreter(void *record) noexcept;

// How long an exit waits for the threads inside. Negative: without a limit.
void set_exit_timeout(long long timeout_ns) noexcept;
long long exit_timeout() noexcept;

// Room for a sentence that names threads.
using report_text = char[1024];

// The steps of one interpreter's end. The finalizing thread makes the object attached, calls `close` and then `wait`
// detached, and calls `finish` attached.
class ending {
  public:
    explicit ending(interpreter &interp) noexcept;
    ending(const ending &) = delete;
    ending &operator=(const ending &) = delete;

    // Closes the gate, unless the interpreter is held, and calls the exit callbacks. A second call does nothing.
    void close() noexcept;
    // Waits for the holds, closes the gate, and waits for the threads inside, up to the limits. At the limit it reports
    // the holds and the threads that are left, before any other wait begins. It attaches with `tstate` for moments, to
    // run signal handlers.
    void wait(thread_state *tstate) noexcept;
    // Waits for the helper threads of probes, releases what waits in the pool, and deletes the orphaned tstates. From
    // then on the gate has ended. Attached with `tstate`.
    void finish(thread_state *tstate) noexcept;

    probe python;      // for this interpreter
    unsigned left = 0; // threads that were attached inside when the wait gave up
    bool has_timed_out() const noexcept { return left || holds_left_; }

  private:
    bool wait_for_holds(thread_state *tstate, int64_t end_ns) noexcept;
    unsigned wait_for_threads(thread_state *tstate, int64_t end_ns) noexcept;
    void report_time_out() noexcept;
    // Once in each end.
    void report_long_wait() noexcept;
    void report_sleepers() noexcept;
    bool run_signal_handlers(thread_state *tstate, int64_t end_ns) noexcept;

    interpreter &interp_;
    const participant *own_; // not waited for: the finalizing thread may be inside a scope of its own
    int64_t earlier_ns_;     // when another copy of this library, which timed out, began to wait; or 0
    int64_t began_ns_ = 0;
    bool could_attach_ = false; // when signal handlers were to run last
    bool has_reported_wait_ = false;
    unsigned holds_left_ = 0; // when the wait gave up
    unsigned sleepers_ = 0;   // threads that the wait left, all that were attached then
    report_text report_;
};

// Writes `problem` and the list of the other threads inside the interpreter into `text`, and reports it to the message
// handler. Attached or not.
void report_threads_inside(interpreter &interp, const char *problem, report_text &text) noexcept;

// Until the next call, the exit hook of this interpreter does nothing, because the finalizing thread takes the same
// steps later. NULL: the hook of each interpreter does its work.
void suppress_exit_hook(const interpreter *interp) noexcept;

} // namespace pyattach
