// How an interpreter ends: refuse, tell, wait, release.
#pragma once

#include "lifecycle/probe.hpp"
#include "pyattach/interpreter.h"

namespace pyattach {

struct interpreter;
struct participant;

// What the interpreter's atexit calls, attached, with its record.
void close_interpreter(void *record) noexcept;

void set_exit_timeout(long long timeout_ns) noexcept;
// Negative: for ever.
long long exit_timeout() noexcept;

// The end of one interpreter, in its steps, on the thread that ends it: made attached; `close` and `wait` detached, in
// this order; `finish` attached.
class ending {
  public:
    explicit ending(interpreter &interp) noexcept;
    ending(const ending &) = delete;
    ending &operator=(const ending &) = delete;

    // Closes the gate, and runs the exit callbacks. A second time it does nothing.
    void close() noexcept;
    // For the threads inside, up to the limits. Who is inside at the limit is told before anything else is waited for.
    // Attaches for moments with `tstate`, so that signals are noticed.
    void wait(thread_state *tstate) noexcept;
    // Releases what there is to release; from here on the interpreter is dead to this library.
    void finish() noexcept;

    probe python;      // of this interpreter
    unsigned left = 0; // threads that were attached inside when the wait gave up

  private:
    void look_for_signals(thread_state *tstate, int64_t end, bool &may_go_on) noexcept;

    interpreter &interp_;
    const participant *own_; // not waited for: this thread may be ending the interpreter inside a scope of its own
    int64_t earlier_;        // when another copy of this library, which timed out, began to wait; or 0
    int64_t began_ = 0;
    char told_[512];
};

// Tells the message handler `what`, and which threads are inside but this one; leaves the text in `told`. Attached or
// not.
void report_threads_inside(interpreter &, const char *what, char (&told)[512]) noexcept;

// While `where` is named here its atexit callback does nothing: the thread that ends it does all that later. NULL:
// none.
void suppress_exit_hook(const interpreter *interp) noexcept;

} // namespace pyattach
