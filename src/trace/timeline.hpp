// Timeline: what the records of a trace mean: who was attached, who waited for whom, and since when.
//
// One track a thread has a slice for each state of the thread. One track an interpreter with a GIL has a slice for each
// thread that held Python, as far as the records tell: a thread that is attached gives the GIL to another one and gets
// it back without this library, so a thread holds Python from its attach until it gives it up or another one attaches.
// One track a lock has a slice for each thread that got it after a wait.
#pragma once

#include "core/trace_session.hpp"
#include "trace/growing.hpp"

namespace pyattach::trace {

constexpr uint32_t none = UINT32_MAX;

enum class track_kind : uint8_t { thread, holder, lock, waiting, pool };
struct track {
    track_kind what;
    lock_kind lock;
    uint64_t of; // the number of the thread, or the address of the interpreter's record or of the lock
    pid_t native_id;
    char name[80];
};

enum class category : uint8_t { attached, waiting, detached, lock, holds, work };
const char *name_of(category) noexcept;

// Moments are nanoseconds of the monotonic clock.
struct slice {
    int64_t begin_ns, end_ns;
    uint32_t track, name; // the name is an offset into `names`
    uint32_t by;          // the track of the thread that had what was waited for, or that holds it; none: unknown
    uint32_t flow_in;     // the flow that ends here; none
    uint32_t flow_out;    // the newest flow that begins here; none
    uint32_t resumed_by;  // the flow that ended the wait before this slice; none
    category what;
    bool is_open; // it had not ended when the trace was copied
};
// From the slice of a thread that gave something up to the slice of a thread that waited for it.
struct flow {
    uint32_t from, to;
    uint32_t previous; // the next older one that begins at the same slice; none
    int64_t from_ns, to_ns;
};
struct instant {
    int64_t at_ns;
    uint32_t track, name;
};
struct sample {
    int64_t at_ns;
    uint32_t track;
    uint64_t value;
};

struct timeline {
    growing<track> tracks;
    growing<slice> slices;
    growing<flow> flows;
    growing<instant> instants;
    growing<sample> samples;
    growing<char> names; // each ends with a zero
    int64_t begin_ns = 0, end_ns = 0;
    uint64_t lost = 0;
    bool free_threaded = false;

    const char *text(uint32_t name) const noexcept { return names.data() + name; }
    bool has_failed() const noexcept {
        return tracks.has_failed() || slices.has_failed() || flows.has_failed() || instants.has_failed() ||
               samples.has_failed() || names.has_failed();
    }
};

// False: no memory.
bool build(timeline &to, const recorded &from) noexcept;

} // namespace pyattach::trace
