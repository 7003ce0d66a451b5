// Many threads at once: new ones, ones that re-attach while the collector stops the world repeatedly, callers of one
// object.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <atomic>
#include <memory>
#include <vector>

#include "support/tstate_counts.hpp"

using namespace support;

// CPython #157666: eight and more fresh threads that attach at once on a free-threaded build
TEST_CASE("eight fresh threads attach at the same moment, a hundred times over") {
    start_python();
    for (int round = 0; round < 100; ++round) {
        barrier together("eight fresh threads to be there", 8);
        run_on_threads(8, "a fresh thread to end", [&](int) {
            together.arrive_and_wait();
            attached here;
            EXPECT(eval_int("6 * 7") == 42);
        });
    }
    attached here;
    CHECK(eval_int("1") == 1);
}

// CPython #151518
TEST_CASE("threads that re-attach from detached scopes make progress while another one collects without pause") {
    start_python();
    std::atomic<bool> is_over{false};
    task collector("the collecting thread to end", [&] {
        while (!is_over) {
            attached here;
            run("import gc; gc.collect()");
        }
    });
    run_on_threads(4, "a thread that comes back to end", [](int) {
        attached here;
        for (int i = 0; i < 500; ++i) {
            detached gap;
            attached again;
        }
    });
    is_over = true;
    collector.join();
}

// jni-rs single_thread, serialized_threads, concurrent_threads, global_ref_works_in_other_threads
TEST_CASE("one Python object serves eight native threads, ten thousand calls each") {
    start_python();
    ref add, total;
    {
        attached here;
        run("import itertools, threading\n"
            "lock, total = threading.Lock(), [0]\n"
            "def add():\n"
            "    with lock: total[0] += 1\n");
        add = eval("add");
    }
    run_on_threads(8, "a calling thread to end", [&](int) {
        for (int i = 0; i < 10000; ++i) {
            attached here;
            object *result = nullptr;
            EXPECT(pyattach_call(add, nullptr, 0, &result) == PYATTACH_OK);
            pyattach_decref(result);
        }
    });
    attached here;
    CHECK(eval_int("total[0]") == 80000);
}
