// Deleting tstates: at the end of a scope (scoped policy), in pyattach_thread_release, and by the reaper in a later
// attach of another thread. Each runs destructors, which may call everything.
#include "support/busy_destructors.hpp"
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"

using namespace support;

TEST_CASE("destructors that run in pyattach_thread_release may attach") {
    start_python();
    busy_destructors busy;
    run_on_thread([&] {
        for (int i = 1; i <= 10; ++i) {
            {
                attached here;
                run("local.value = Busy()");
            }
            CHECK(pyattach_thread_release() == PYATTACH_OK);
            CHECK(busy.completed == i);
            CHECK(gilstate_tstate() == nullptr);
            CHECK(pyattach_attach_depth() == 0);
        }
    });
}

TEST_CASE("a destructor that detaches in pyattach_thread_release leaves nothing behind") {
    start_python();
    {
        attached here;
        make_thread_local();
        publish("detach", native_function([] { detached gap; }));
        run("import sys\nclass Late:\n    def __del__(self): detach()\n");
    }
    constexpr int rounds = 100;
    // New threads: one that continues would find a reattach guard for a tstate at the same address.
    auto give_back_often = [](const char *value) {
        for (int i = 0; i < rounds; ++i)
            run_on_thread([value] {
                {
                    attached here;
                    run(std::string("local.value = ") + value);
                }
                CHECK(pyattach_thread_release() == PYATTACH_OK);
            });
        attached here;
        return eval_int("sys.getallocatedblocks()"); // 0 where Python's memory is malloc's; there a sanitizer tells
    };
    auto first = give_back_often("1"), without = give_back_often("1"), with = give_back_often("Late()");
    CHECK(with - without - (without - first) < rounds); // free-threaded builds keep something of each state
    attached here;
    run("del Late, detach");
}

TEST_CASE("destructors that run while the reaper deletes tstates may attach") {
    start_python();
    busy_destructors busy;
    auto before = all_counters();
    constexpr int threads = 200;
    for (int i = 0; i < threads; ++i)
        run_on_thread([] {
            attached here;
            run("local.value = Busy()");
            // The reaping thread is still attached as before.
            foreign_attach nested;
            CHECK(eval_int("1") == 1);
        });
    auto after = all_counters();
    CHECK(after.states_created - before.states_created == threads);
    CHECK(busy.completed > threads / 2);
    // Each death belongs to one deleted tstate. Tstates that waited before the test are among the deleted ones.
    CHECK(static_cast<std::uint64_t>(busy.completed) <= after.states_deleted - before.states_deleted);
    CHECK(static_cast<std::uint64_t>(busy.completed) + before.states_dead >=
          after.states_deleted - before.states_deleted);
}

TEST_CASE("the reaper keeps a pending exception and the calling thread's own data") {
    start_python();
    for (int i = 0; i < 64; ++i) // as many as may wait
        run_on_thread([] {
            attached here;
            run("import threading; threading.current_thread()");
        });
    for (int i = 0; i < 70; ++i)
        run_on_thread([] {
            attached here;
            make_thread_local();
            run("local.value = 11");
            void *state = current_tstate();
            auto **kind = static_cast<object **>(cpython_symbol("PyExc_ValueError"));
            cpython<void(object *, const char *)>("PyErr_SetString")(*kind, "kept");
            {
                detached gap;
                run_on_thread([] { attached other; });
            }
            char text[64] = "";
            pyattach_error_message(text, sizeof text);
            CHECK(std::string(text) == "ValueError: kept");
            pyattach_error_clear();
            CHECK(current_tstate() == state);
            CHECK(gilstate_tstate() == state);
            CHECK(eval_int("local.value") == 11);
        });
}
