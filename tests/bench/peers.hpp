// What people would use, side by side: this library and its peers, each a table of the same jobs.
//
// A job is done n times by one call, in the peer's own language, compiled as its users compile it. NULL: the peer does
// not have that job.
#pragma once

#include <vector>

struct _object;

namespace bench {

using object = ::_object;

struct peer {
    const char *name;
    // Once, on Python's own thread, attached: what importing a module of this peer would do.
    void (*import)() = nullptr;
    // Around the jobs, on the thread that does them, not attached.
    void (*prepare)() = nullptr;
    void (*finish)() = nullptr;

    void (*nested)(long n) = nullptr;                  // attach and release; the thread is attached
    void (*attach)(long n) = nullptr;                  // attach and release; it is not
    void (*detach)(long n) = nullptr;                  // detach and attach again
    void (*call)(object *function, long n) = nullptr;  // attach, call a Python function, release
    void (*drop_attached)(object *, long n) = nullptr; // give references back, attached
    void (*drop)(object *const *, long n) = nullptr;   // and not attached
    void (*drain)() = nullptr;                         // attach as often as it takes until all is released
    void (*section)(object *, long n) = nullptr;       // critical section: enter and leave
    void (*section2)(object *, object *, long n) = nullptr;
    void (*section_mutex)(long n) = nullptr;
    void (*section_mutex2)(long n) = nullptr;
    void (*mutex)(long n) = nullptr; // lock and unlock, attached, nobody else wants it
};

extern const peer pyattach_c, pyattach_cpp, pyattach_assume, c_api, c_api_routed, kept_state, pybind11_peer,
    nanobind_peer, cython_peer, pep788_view, pep788_guard, pyo3_peer, pyo3_in_loop, mutex_pool;

// The same sources, linked with the options that route: each in a library of its own, because a linker makes one
// function of two that have the same name. Compiled with BENCH_ROUTED.
extern __attribute__((visibility("default"))) const peer pybind11_routed, nanobind_routed, cython_routed;

// Those that this program was built with.
const std::vector<const peer *> &peers();

} // namespace bench
