// How the rows measure.
//
// A row is one benchmark, named JOB/PEER. What happens on one thread is measured in CPU time of that thread, which
// nothing else on the machine disturbs except through caches; what several threads do together is measured in real
// time.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <functional>
#include <string>

#include "peers.hpp"

namespace bench {

double thread_cpu_seconds();
double real_seconds();
// What one measurement with thread_cpu_seconds() costs besides what is measured.
double stopwatch_seconds();

// What an iteration of a row says it took: the time of one of the n operations in it.
inline void set_time(benchmark::State &state, double seconds, long n) {
    state.SetIterationTime(std::max(seconds, 0.0) / static_cast<double>(n));
}

inline constexpr double long_enough = 1e-3; // seconds in which the stopwatch disappears

// Measures `batch(n)`, which does something n times, in CPU time of this thread.
template <class Batch> void measure(benchmark::State &state, Batch &&batch) {
    // What takes microseconds is done less often than what takes nanoseconds. The first time is a cold one.
    batch(2);
    double begun_trial = thread_cpu_seconds();
    batch(8);
    double each = (thread_cpu_seconds() - begun_trial) / 8;
    long n = std::min(std::max(static_cast<long>(long_enough / each), 4L), 40000L);
    for (auto _ : state) {
        double begun = thread_cpu_seconds();
        batch(n);
        set_time(state, thread_cpu_seconds() - begun - stopwatch_seconds(), n);
    }
}

// The benchmark JOB/PEER. `measures` is called once per round.
void add(const std::string &job, const std::string &peer, std::function<void(benchmark::State &)> measures,
         long iterations = 10);

// Registered in this order; run in random order.
void add_attach_rows();
void add_first_attach_rows();
void add_drop_rows();
void add_burst_rows();
void add_lock_rows();
void add_two_thread_rows();
void add_memory_rows();

// Registers everything and runs it on a native thread, which Python does not know. Call it detached.
int run(int argc, char **argv);

} // namespace bench
