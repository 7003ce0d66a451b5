// The same job on one thread and on two at once, in real time. The row "work" is what the machine itself can do: work
// that shares nothing.
#include <pyattach/pyattach.hpp>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "bench.hpp"
#include "python.hpp"

namespace bench {
namespace {

// Each thread calls `prepare`, waits for the others, does `job`, and calls `finish`. Returns the seconds from the
// common start to the last end of a job.
template <class Prepare, class Job, class Finish>
double seconds_of_threads(int threads, Prepare prepare, Job job, Finish finish) {
    std::atomic<int> ready{0};
    std::vector<double> ended(static_cast<size_t>(threads)), begun(ended);
    std::vector<std::thread> all;
    for (size_t i = 0; i < ended.size(); ++i)
        all.emplace_back([&, i] {
            prepare(i);
            // Spinning: a thread that has to be woken begins late.
            ready.fetch_add(1);
            while (ready.load() != threads) {
            }
            begun[i] = real_seconds();
            job(i);
            ended[i] = real_seconds();
            finish(i);
        });
    for (std::thread &one : all)
        one.join();
    return *std::max_element(ended.begin(), ended.end()) - *std::min_element(begun.begin(), begun.end());
}

template <class Measure> void add_both(const std::string &job, const std::string &peer, Measure seconds, long n) {
    for (int threads : {1, 2})
        add(
            job + (threads == 1 ? ", 1 thread" : ", 2 threads"), peer,
            [threads, seconds, n](benchmark::State &state) {
                for (auto _ : state)
                    set_time(state, seconds(threads), n * threads);
            },
            5);
}

void nothing(size_t) {}

void add_nested(const peer &of) {
    constexpr long n = 500000;
    add_both(
        "nested", of.name,
        [&of](int threads) {
            // Nobody spins attached: the other's first attach may have to stop all that are.
            return seconds_of_threads(
                threads, [](size_t) { pyattach::attached once; },
                [&of](size_t) {
                    pyattach::attached here;
                    of.nested(n);
                },
                nothing);
        },
        n);
}

void add_attach(const peer &of) {
    constexpr long n = 100000;
    add_both(
        "attach", of.name,
        [&of](int threads) {
            return seconds_of_threads(
                threads, [&](size_t) { of.attach(10); }, [&](size_t) { of.attach(n); }, nothing);
        },
        n);
}

void add_drop(const peer &of) {
    constexpr long n = 100000;
    add_both(
        "drop, push only", of.name,
        [&of](int threads) {
            object *one;
            {
                attached_by_c_api here;
                one = new_object();
                add_references(one, threads * n);
            }
            // Each thread has a list of its own to give back.
            std::vector<std::vector<object *>> all(static_cast<size_t>(threads), std::vector<object *>(n, one));
            double seconds = seconds_of_threads(
                threads, [&](size_t i) { of.drop(all[i].data(), 1); },
                [&](size_t i) { of.drop(all[i].data() + 1, n - 1); }, nothing);
            of.drain();
            attached_by_c_api here;
            give_back(one);
            return seconds;
        },
        n);
}

void add_work() {
    constexpr long n = 10000000;
    add_both(
        "work", "machine",
        [](int threads) {
            return seconds_of_threads(
                threads, nothing,
                [](size_t) {
                    for (long i = 0; i < n; ++i)
                        benchmark::DoNotOptimize(i);
                },
                nothing);
        },
        n);
}

} // namespace

void add_two_thread_rows() {
    bool is_free_threaded;
    {
        attached_by_c_api here;
        is_free_threaded = describe_python().is_free_threaded;
    }
    add_work();
    for (const peer *of : peers()) {
        // Where there is a GIL, one thread is attached at a time.
        if (is_free_threaded && of->nested && !of->prepare)
            add_nested(*of);
        if (is_free_threaded && of == &pyattach_c)
            add_attach(*of);
        if (of->drop && of->drain)
            add_drop(*of);
    }
}

} // namespace bench
