// Replay: the state of each thread, interpreter and lock while the records are gone through.
//
// A trace begins while threads are in any state, and the oldest records of a thread may be overwritten. So each step
// takes what it finds: a thread that gives Python up without a record of its attach has no slice for it.
#pragma once

#include "trace/timeline.hpp"

namespace pyattach::trace {

struct thread_state_at {
    uint32_t track;
    uint32_t state;       // the open slice of the state; none
    uint32_t house;       // the open slice of the housekeeper's work; none
    category before_lock; // the state to which the wait for a lock returns
    bool had_state;       // before that wait
    uint64_t waits_in;    // the interpreter for which the thread waits; 0: it does not wait
    char label[65];       // of the scope that has attached the thread
};
struct interpreter_at {
    uint64_t of;
    uint32_t holder_track, waiting_track;
    uint32_t holds;  // the open slice of the holder track; none
    uint32_t holder; // the slice of the thread that holds Python; none
    uint32_t last;   // the slice of the thread that gave it up last; none
    int64_t last_ns;
    uint64_t waiting;
};
struct lock_at {
    uint64_t of;
    uint32_t track;
    uint32_t holds; // the open slice; none
    uint32_t last;  // the slice in which a thread released the lock last; none
    int64_t last_ns;
};

class replay {
  public:
    replay(timeline &to, const recorded &from) noexcept;

    int64_t ns_of(uint64_t ticks) const noexcept;
    // The state of the thread with this number. `native_id`: of one that is found for the first time.
    thread_state_at &thread(uint32_t number, uint64_t native_id) noexcept;
    void name_of_native(pid_t id, char (&text)[32]) const noexcept;

    void wants(thread_state_at &thread, uint64_t of, int64_t at) noexcept;
    void attached(thread_state_at &thread, const record &next, int64_t at) noexcept;
    void gives_up(thread_state_at &thread, uint64_t of, int64_t at, bool detaches) noexcept;
    void labelled(thread_state_at &thread, const record &next) noexcept;
    void lock_waits(thread_state_at &thread, const record &next, int64_t at) noexcept;
    void lock_got(thread_state_at &thread, const record &next, int64_t at) noexcept;
    void lock_released(thread_state_at &thread, const record &next, int64_t at) noexcept;
    void work(thread_state_at &thread, const record &next, int64_t at, const char *format) noexcept;
    void pool_size(const record &next, int64_t at) noexcept;
    void mark(const thread_state_at &thread, int64_t at, const char *format, const char *what) noexcept;
    void end_wait(thread_state_at &thread, int64_t at) noexcept;
    void end_state(thread_state_at &thread, int64_t at) noexcept;
    void end_all(thread_state_at &thread, int64_t at) noexcept;
    void finish() noexcept;

    uint32_t open(uint32_t track, category what, int64_t at, uint32_t text) noexcept;
    void close(uint32_t &slice, int64_t at) noexcept;
    uint32_t name(const char *given) noexcept;

  private:
    uint32_t add_track(track_kind what, uint64_t of, const char *text) noexcept;
    interpreter_at &interpreter(uint64_t of) noexcept;
    uint32_t open_hold(uint32_t track, uint32_t holder, int64_t at) noexcept;
    lock_at *find_lock(uint64_t of) noexcept; // NULL: it is not known
    lock_at &lock(const record &next) noexcept;
    void add_flow(uint32_t from, int64_t from_ns, uint32_t to, int64_t to_ns) noexcept;
    void sample_waiting(const interpreter_at &interp, int64_t at) noexcept;

    timeline &to_;
    const recorded &from_;
    double ns_per_tick_;
    growing<thread_state_at> threads_; // by the number of the thread, less one
    growing<interpreter_at> interpreters_;
    growing<lock_at> locks_;
    growing<uint32_t> known_names_;
    // What is returned where there is no memory; it is not read.
    thread_state_at no_thread_;
    interpreter_at no_interpreter_;
    lock_at no_lock_;
};

} // namespace pyattach::trace
