// How the rows measure.
//
// A row is one benchmark, named JOB/PEER. What happens on one thread is measured in CPU time of that thread, which
// nothing else on the machine disturbs except through caches; what several threads do together is measured in real
// time.
#pragma once

#include <benchmark/benchmark.h>

#include <string>

#include "peers.hpp"

namespace bench {

double thread_cpu_seconds();
double real_seconds();
// What one measurement with thread_cpu_seconds() costs besides what is measured.
double stopwatch_seconds();

// Measures `batch(n)`, which does something n times, in CPU time of this thread.
template <class Batch> void measure(benchmark::State &state, long n, Batch &&batch) {
    while (state.KeepRunningBatch(n)) {
        double begun = thread_cpu_seconds();
        batch(n);
        double seconds = thread_cpu_seconds() - begun - stopwatch_seconds();
        state.SetIterationTime(seconds > 0 ? seconds : 0);
    }
}

inline constexpr long many = 20000; // operations that one measurement with the stopwatch disappears in

// The benchmark JOB/PEER. `measures` is called once per round.
benchmark::internal::Benchmark *add(const std::string &job, const std::string &peer,
                                    std::function<void(benchmark::State &)> measures);

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
