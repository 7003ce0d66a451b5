// Threads that attach and end without pause: their tstates are deleted, and memory does not grow.
//
// 5,000 threads here; with PYATTACH_TEST_FULL=1 in the environment 100,000.
#include "support/catch.hpp"
#include "support/sanitizers.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <memory>
#include <vector>

#include "support/tstate_counts.hpp"
#include "support/resident_memory.hpp"

using namespace support;

namespace {

int number_of_threads() { return is_full_run() ? 100000 : 5000; }

// Leaves a threading.local value and free lists of small objects behind. Compiled once: each compilation
// leaves about 1 KiB behind on free-threaded 3.13, also with PyGILState_Ensure and Release and without this library.
object *live = nullptr;
void make_live() {
    make_thread_local();
    run("def live():\n"
        "    local.value = [i for i in range(20)]\n"
        "    [(i * 0.5, (i,), [i], {i: i}) for i in range(100)]\n");
    live = eval("live").release();
}

void live_and_end() {
    static auto *const call = cpython<object *(object *)>("PyObject_CallNoArgs");
    for (int i = 0; i < 3; ++i) {
        attached here;
        ref result(call(live));
        EXPECT(result.get());
    }
}

// Returns the most states that ever waited to be deleted.
std::uint64_t churn(int threads, int at_once) {
    std::uint64_t most = 0;
    for (int i = 0; i < threads; i += at_once) {
        std::vector<std::unique_ptr<task>> tasks;
        for (int j = 0; j < at_once; ++j)
            tasks.push_back(std::make_unique<task>("a short-lived thread to end", live_and_end));
        for (auto &thread : tasks)
            thread->join();
        most = std::max(most, all_counters().states_dead);
    }
    return most;
}

} // namespace

TEST_CASE("threads that attach and end without pause leave few tstates and no memory behind") {
    start_python();
    {
        attached here;
        make_live();
    }
    int threads = number_of_threads();
    for (int at_once : {1, 8}) {
        churn(2000, at_once); // what there is once for all of them
        // Sometimes more threads overlap than before, and the allocator keeps the memory for that. The median leaves
        // such a part out; what each thread leaks shows in every part.
        std::int64_t grown[5];
        std::uint64_t most_waiting = 0;
        for (std::int64_t &part : grown) {
            std::int64_t before = resident_bytes();
            most_waiting = std::max(most_waiting, churn(threads / 5, at_once));
            part = resident_bytes() - before;
        }
        std::sort(std::begin(grown), std::end(grown));
        std::printf("%d threads, %d at once: %lld bytes for a fifth of them, at most %llu states waiting\n", threads,
                    at_once, static_cast<long long>(grown[2]), static_cast<unsigned long long>(most_waiting));
        // 1 KiB a thread at most, and the same if there are more than 5000; with a GIL an allocator's half a MiB.
        std::int64_t allowed = (is_free_threaded() ? 1000 : 100) * 1024;
        if (is_memory_telling)
            CHECK(grown[2] < allowed);
        CHECK(most_waiting <= 100);
    }
    auto counters = all_counters();
    CHECK(counters.states_created - counters.states_deleted == counters.states_dead);
}
