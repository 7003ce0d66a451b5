// Trace session: starts and stops a trace, and copies what it has recorded.
#pragma once

#include "core/trace.hpp"
#include "pyattach/trace.h"

namespace pyattach::trace {

// See trace.h.
status start(const pyattach_trace_options *given) noexcept;
status stop() noexcept;

// A thread that has recorded something.
struct thread_info {
    pid_t native_id;
    bool runs; // of a copy: the thread had not ended
    char name[32];
};

// What a trace has recorded so far.
struct recorded {
    record *records = nullptr; // sorted by time
    size_t count = 0;
    thread_info *threads = nullptr; // thread N of a record is threads[N - 1], if N is not above `named`
    size_t named = 0;
    uint64_t lost = 0;      // how many records there was no room for, or which were overwritten
    tick_moment begin = {}; // when the trace was started
    tick_moment end = {};   // when it was stopped, or copied
    bool free_threaded = false;

    recorded() noexcept = default;
    recorded(const recorded &) = delete;
    recorded &operator=(const recorded &) = delete;
    ~recorded();
};
// PYATTACH_INVALID: no trace was started. PYATTACH_NO_MEMORY.
status copy_recorded(recorded &to) noexcept;

// Where the trace is to be written if the process may not come to do it. False: nowhere, or no trace records.
struct dump_target {
    char path[4096];
    pyattach_trace_format format;
};
bool find_dump_target(dump_target &found) noexcept;

// When the trace that records was started. `limit_ns` negative: waits for the session's lock without a limit. False: no
// trace records, or the lock could not be locked within this time.
bool find_begin(tick_moment &begin, int64_t limit_ns) noexcept;

// Around fork(), as internal_lock.hpp defines the three.
void hold() noexcept;
void release_hold() noexcept;
// In the child, where no thread but the calling one exists: the trace goes on as the child's own.
void restart() noexcept;

} // namespace pyattach::trace
