// Threads that come and go for ever: their states are deleted, and memory stays where it is.
//
// 2,000 threads here; with PYATTACH_TEST_FULL=1 in the environment 100,000.
#include "support/catch.hpp"
#include "support/sanitizers.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "api/thread_states.hpp"
#include "stress/resident.hpp"

using namespace support;

namespace {

int number_of_threads() { return is_full_run() ? 100000 : 2000; }

// Leaves a value of the thread's own behind, and free lists full of small objects. Compiled once: each compilation
// leaves about 1 KiB behind on free-threaded 3.13, also with PyGILState_Ensure and Release and without this library.
object *live = nullptr;
void make_live() {
    make_local();
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
        for (auto &one : tasks)
            one->join();
        most = std::max(most, all_counters().states_dead);
    }
    return most;
}

} // namespace

TEST_CASE("threads that come and go for ever leave few states and no memory behind") {
    start_python();
    {
        attached here;
        make_live();
    }
    int threads = number_of_threads();
    for (int at_once : {1, 8}) {
        churn(threads / 4, at_once); // what there is once for all of them
        std::int64_t before = resident_bytes();
        std::uint64_t most_waiting = churn(threads, at_once);
        std::int64_t grown = resident_bytes() - before;
        std::printf("%d threads, %d at once: %lld bytes a thread, at most %llu states waiting\n", threads, at_once,
                    static_cast<long long>(grown / threads), static_cast<unsigned long long>(most_waiting));
        // What an allocator may keep for itself, however many threads there were; free-threaded, each that runs at the
        // same time has heaps of its own.
        std::int64_t allowed = is_free_threaded() ? 4 * 1024 * 1024 : 512 * 1024;
        if (is_memory_telling)
            CHECK(grown < allowed);
        CHECK(most_waiting <= 100);
    }
    auto now = all_counters();
    CHECK(now.states_created - now.states_deleted == now.states_dead);
}
