// Another thread has given back a million references: what that does to whoever attaches next, and to the memory.
#include <malloc.h>

#include <pyattach/pyattach.hpp>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "bench.hpp"
#include "python.hpp"

namespace bench {
namespace {

constexpr long million = 1000000;
constexpr int attaches = 100;

// A thread that makes a million objects, gives them back detached, and stays until told to end: on free-threaded builds
// the objects are its own as long as it lives.
class dropper {
  public:
    explicit dropper(const peer &of)
        : thread_([this, &of] {
              std::vector<object *> all(million);
              attached_by_c_api here;
              for (object *&one : all)
                  one = new_object();
              detached_by_c_api gap;
              of.drop(all.data(), million);
              wait_to_end();
          }) {
        std::unique_lock<std::mutex> held(lock_);
        changed_.wait(held, [this] { return has_dropped_; });
    }
    ~dropper() {
        {
            std::lock_guard<std::mutex> held(lock_);
            may_end_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }

  private:
    void wait_to_end() {
        std::unique_lock<std::mutex> held(lock_);
        has_dropped_ = true;
        changed_.notify_all();
        changed_.wait(held, [this] { return may_end_; });
    }

    std::mutex lock_;
    std::condition_variable changed_;
    bool has_dropped_ = false, may_end_ = false;
    std::thread thread_;
};

void keep_a_state() { pyattach::attached once; }

void add_worst_attach(const peer &of) {
    add(
        "worst attach after 1000000 drops", of.name,
        [&of](benchmark::State &state) {
            keep_a_state(); // which all find: as in rows/decref.cpp
            for (auto _ : state) {
                dropper other(of);
                double worst = 0;
                for (int i = 0; i < attaches; ++i) {
                    double begun = thread_cpu_seconds();
                    of.attach ? of.attach(1) : of.drain();
                    worst = std::max(worst, thread_cpu_seconds() - begun);
                }
                state.SetIterationTime(worst);
                of.drain();
            }
        },
        1);
}

double heap_bytes() { return static_cast<double>(mallinfo2().uordblks + mallinfo2().hblkhd); }

// How much of the pool's memory is still there once ten million references were given back and released.
void add_memory_after_burst(const peer &of) {
    add(
        "bytes kept after 10000000 drops", of.name,
        [&of](benchmark::State &state) {
            constexpr long part = 100000;
            object *one;
            {
                attached_by_c_api here;
                one = new_object();
            }
            std::vector<object *> all(part, one);
            keep_a_state();
            of.drain();
            for (auto _ : state) {
                double before = heap_bytes(), most = 0;
                {
                    attached_by_c_api here;
                    add_references(one, 10 * million);
                }
                for (long i = 0; i < 10 * million; i += part)
                    of.drop(all.data(), part);
                most = heap_bytes() - before;
                of.drain();
                state.counters["bytes_at_most"] = most;
                state.counters["bytes"] = heap_bytes() - before;
                state.SetIterationTime(1e-9);
            }
            attached_by_c_api here;
            give_back(one);
        },
        1);
}

} // namespace

void add_burst_rows() {
    for (const peer *of : peers())
        if (of->drop && of->drain) {
            add_worst_attach(*of);
            add_memory_after_burst(*of);
        }
}

} // namespace bench
