#include "bench.hpp"

#include <pthread.h>

#include <algorithm>
#include <ctime>
#include <thread>
#include <vector>

#include <pyattach/pyattach.h>

#include "bench_config.hpp"
#include "python.hpp"

namespace bench {
namespace {

double seconds_of(clockid_t clock) {
    timespec now;
    clock_gettime(clock, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double median_cost_of_stopwatch() {
    std::vector<double> costs(1001);
    for (double &cost : costs) {
        double begun = thread_cpu_seconds();
        cost = thread_cpu_seconds() - begun;
    }
    std::nth_element(costs.begin(), costs.begin() + 500, costs.end());
    return costs[500];
}

void add_context() {
    attached_by_c_api here;
    about_python python = describe_python();
    benchmark::AddCustomContext("python", python.version);
    benchmark::AddCustomContext("kind", python.kind);
    benchmark::AddCustomContext("python_in", python.where);
    benchmark::AddCustomContext("compiler", BENCH_COMPILER);
    benchmark::AddCustomContext("buildtype", BENCH_BUILDTYPE);
    benchmark::AddCustomContext("pyattach", std::to_string(pyattach_version() >> 24) + "." +
                                                std::to_string(pyattach_version() >> 16 & 255) + "." +
                                                std::to_string(pyattach_version() >> 8 & 255));
    benchmark::AddCustomContext("pybind11", BENCH_PYBIND11_VERSION);
    benchmark::AddCustomContext("nanobind", BENCH_NANOBIND_VERSION);
    benchmark::AddCustomContext("cython", BENCH_CYTHON_VERSION);
    benchmark::AddCustomContext("pyo3", BENCH_PYO3_VERSION);
}

} // namespace

double thread_cpu_seconds() { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }
double real_seconds() { return seconds_of(CLOCK_MONOTONIC); }

double stopwatch_seconds() {
    static const double cost = median_cost_of_stopwatch();
    return cost;
}

void add(const std::string &job, const std::string &peer, std::function<void(benchmark::State &)> measures,
         long iterations) {
    std::string name = job + "/" + peer;
    benchmark::RegisterBenchmark(name.c_str(), std::move(measures))->UseManualTime()->Iterations(iterations);
}

int run(int argc, char **argv) {
    int failed = 0;
    {
        attached_by_c_api here;
        for (const peer *of : peers())
            if (of->import)
                of->import();
    }
    std::thread([&] {
        benchmark::Initialize(&argc, argv);
        if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
            failed = 2;
            return;
        }
        // First contact, before the rows make thread-specific keys of their own.
        if (!pyattach_interpreter_main()) {
            failed = 1;
            return;
        }
        stopwatch_seconds();
        add_context();
        add_attach_rows();
        add_first_attach_rows();
        add_drop_rows();
        add_burst_rows();
        add_lock_rows();
        add_two_thread_rows();
        add_memory_rows();
        failed = benchmark::RunSpecifiedBenchmarks() == 0;
        benchmark::Shutdown();
    }).join();
    return failed;
}

} // namespace bench
