// The first attach of a thread that has just begun, the release, and what that makes the thread's end cost. A warm
// state is deleted by a later thread's attach: so a row is the sum over many threads one after the other.
#include <climits>
#include <pthread.h>

#include <cstdlib>
#include <thread>

#include "bench.hpp"

namespace bench {
namespace {

// Notes the time in the thread's last act: the last round of its destructors of thread-local data, in which this key,
// made after the library's and CPython's own, comes last.
struct stopwatch {
    double begun;
    double *sum;
    int rounds;
};
pthread_key_t last_act;

void on_thread_end(void *data) {
    auto *watch = static_cast<stopwatch *>(data);
    if (++watch->rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
        pthread_setspecific(last_act, data);
        return;
    }
    *watch->sum += thread_cpu_seconds() - watch->begun;
}

// Seconds per thread that does `job` once, less what a thread with nothing to do needs there.
constexpr int threads = 128; // two batches of states to delete, where batches are largest

double seconds_per_thread(void (*job)(long)) {
    double sum = 0;
    for (int i = 0; i < threads; ++i) {
        stopwatch watch = {0, &sum, 0};
        std::thread([&watch, job] {
            pthread_setspecific(last_act, &watch);
            watch.begun = thread_cpu_seconds();
            if (job)
                job(1);
        }).join();
    }
    return sum / threads;
}

void add_row(const peer &of) {
    add(
        "first attach", of.name,
        [&of](benchmark::State &state) {
            for (auto _ : state)
                set_time(state, seconds_per_thread(of.attach) - seconds_per_thread(nullptr), 1);
        },
        2);
}

} // namespace

void add_first_attach_rows() {
    if (pthread_key_create(&last_act, on_thread_end) != 0)
        std::abort();
    for (const peer *of : peers())
        // A guard or a state kept by hand is made by another thread; the rest is what a thread does by itself.
        if (of->attach && !of->prepare && of != &pyattach_cpp)
            add_row(*of);
}

} // namespace bench
