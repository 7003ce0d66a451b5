// What a thread costs in memory from its first attach to its end, besides CPython's own thread state.
#include <malloc.h>

#include <pyattach/pyattach.h>

#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "bench.hpp"
#include "python.hpp"

namespace bench {
namespace {

double heap_bytes() { return static_cast<double>(mallinfo2().uordblks + mallinfo2().hblkhd); }

// Bytes per thread between two moments at which all threads stand still: begun, and having done `first`. Each then does
// `last` and ends.
double bytes_per_thread(const std::function<void(size_t)> &first, const std::function<void(size_t)> &last) {
    constexpr size_t threads = 64;
    std::mutex lock;
    std::condition_variable changed;
    size_t arrived = 0, stage = 0;
    auto arrive_and_wait_for = [&](size_t wanted) {
        std::unique_lock<std::mutex> held(lock);
        ++arrived;
        changed.notify_all();
        changed.wait(held, [&] { return stage >= wanted; });
    };
    auto wait_until_all_arrived = [&](size_t times) {
        std::unique_lock<std::mutex> held(lock);
        changed.wait(held, [&] { return arrived == times * threads; });
    };
    auto let_go = [&] {
        std::lock_guard<std::mutex> held(lock);
        ++stage;
        changed.notify_all();
    };
    std::vector<std::thread> all;
    for (size_t i = 0; i < threads; ++i)
        all.emplace_back([&, i] {
            // The allocator's own per-thread cache is none of our business.
            std::free(std::malloc(1));
            arrive_and_wait_for(1);
            first(i);
            arrive_and_wait_for(2);
            last(i);
        });
    wait_until_all_arrived(1);
    double before = heap_bytes();
    let_go();
    wait_until_all_arrived(2);
    double after = heap_bytes();
    let_go();
    for (std::thread &one : all)
        one.join();
    return (after - before) / threads;
}

void nothing(size_t) {}

void attach_once(size_t) {
    pyattach_attached here;
    if (pyattach_attached_begin(&here) == PYATTACH_OK)
        pyattach_attached_end(&here);
}

// States of threads that ended are deleted now, and not while others are counted.
void delete_dead_states() {
    std::thread(attach_once, 0).join();
    std::thread(attach_once, 0).join();
}

void add_row(const char *job, const char *peer, std::function<double()> bytes) {
    add(
        job, peer,
        [bytes](benchmark::State &state) {
            for (auto _ : state) {
                delete_dead_states();
                state.counters["bytes"] = bytes();
                state.SetIterationTime(1e-9);
            }
        },
        1);
}

void drop_once(size_t) {
    object *one = nullptr;
    {
        pyattach_attached here;
        if (pyattach_attached_begin(&here) != PYATTACH_OK)
            return;
        one = new_object();
        pyattach_attached_end(&here);
    }
    pyattach_decref(one);
}

} // namespace

void add_memory_rows() {
    add_row("bytes per thread", "pyattach", [] { return bytes_per_thread(attach_once, nothing); });
    add_row("bytes per thread", "pyattach, a reference in the pool",
            [] { return bytes_per_thread(drop_once, nothing); });
    add_row("bytes per thread", "CPython", [] {
        std::vector<bare_state *> states(64);
        return bytes_per_thread([&](size_t i) { states[i] = new_bare_state(); },
                                [&](size_t i) { delete_bare_state(states[i]); });
    });
}

} // namespace bench
