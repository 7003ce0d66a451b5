// Decrefs and drains with each external call failing in turn: a reference is released once, or leaked and counted.
#include "fault_sweep.hpp"
#include "support/orphaned_tstate.hpp"
#include "support/catch.hpp"
#include "support/tstate_counts.hpp"

using namespace support;
using faults::of;
using faults::on;
using faults::sweep;

TEST_CASE("a decref in which any dependency fails is queued, or leaked and counted") {
    start_python();
    ref probe;
    std::int64_t before;
    {
        attached here;
        probe = new_object();
        before = reference_count(probe);
    }
    const pyattach_stats first = all_counters();
    uint64_t given_back = 0;
    auto give = [&](auto drop) {
        return [&, drop] {
            {
                // incref needs an attached thread, which the calling one may not be.
                foreign_attach here;
                cpython<void(object *)>("Py_IncRef")(probe);
            }
            drop();
            ++given_back;
            return PYATTACH_OK;
        };
    };
    pyattach_interpreter *main = pyattach_interpreter_main();
    CHECK(sweep("decref", on::fresh, give([&] { pyattach_decref(probe); })) >= 4);
    CHECK(sweep("decref_in", on::fresh, give([&] { pyattach_decref_in(main, probe); })) >= 4);
    CHECK(sweep("decref in a gap", on::in_a_gap, give([&] { pyattach_decref(probe); })) >= 2);
    CHECK(sweep("decref, forbidden", on::inside, give([&] {
                    forbidden traverse;
                    pyattach_decref(probe);
                })) >= 2);
    attached here;
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(pyattach_pool_size() == 0);
    const pyattach_stats last = all_counters();
    const uint64_t leaked = last.drops_leaked - first.drops_leaked;
    CHECK(last.drops_queued - first.drops_queued + leaked == given_back);
    CHECK(last.drops_released - first.drops_released + leaked == given_back);
    // A leak needs a failed allocation of a node, and each such failure leaks one reference.
    CHECK(leaked > 0);
    CHECK(leaked < given_back / 2);
    CHECK(reference_count(probe) - before == static_cast<std::int64_t>(leaked));
}

TEST_CASE("a decref queue chunk that cannot be allocated leaks one reference, and the next is queued") {
    start_python();
    ref probe;
    std::int64_t before;
    {
        attached here;
        probe = new_object();
        before = reference_count(probe);
        for (int i = 0; i < 200; ++i)
            REQUIRE(pyattach_incref(probe) == PYATTACH_OK);
    }
    const pyattach_stats first = all_counters();
    int failures = 0;
    run_on_thread([&] {
        pyattach_decref(probe); // with memory: the thread's own part of the pool is made
        for (int i = 1; i < 200; ++i) {
            faults::arm(0, of::memory);
            pyattach_decref(probe);
            failures += faults::disarm() != nullptr;
        }
    });
    attached here;
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    const uint64_t leaked = all_counters().drops_leaked - first.drops_leaked;
    CHECK(failures > 0);
    CHECK(leaked > 0);
    CHECK(leaked <= static_cast<uint64_t>(failures));
    CHECK(reference_count(probe) - before == static_cast<std::int64_t>(leaked));
}

TEST_CASE("a drain in which any dependency fails releases all, and keeps the pending exception") {
    start_python();
    auto drain = [] {
        run("import sys\n"
            "deaths = 0\n"
            "class Mortal:\n"
            "    def __del__(self):\n"
            "        global deaths\n"
            "        deaths += 1");
        ref reference = eval("Mortal()");
        {
            forbidden traverse;
            reference.drop();
        }
        EXPECT(pyattach_pool_size() >= 1);
        ref failure = eval("KeyError('kept')");
        EXPECT(pyattach_error_restore(failure) == PYATTACH_OK);
        return failure;
    };
    int sweeps = 0;
    for (int before = 0; before < 100; ++before, ++sweeps) {
        bool is_over = run_on_thread([&] {
            attached here;
            ref failure = drain();
            faults::arm(before);
            pyattach_status status = pyattach_pool_drain();
            const char *failed = faults::disarm();
            EXPECT(status == PYATTACH_OK);
            object *taken = nullptr;
            EXPECT(pyattach_error_take(&taken) == PYATTACH_OK && taken == failure);
            pyattach_decref(taken);
            EXPECT(pyattach_pool_size() == 0);
            EXPECT(eval_int("deaths") == 1);
            return failed == nullptr;
        });
        if (is_over)
            break;
    }
    CHECK(sweeps < 100);
}

TEST_CASE("if Py_AddPendingCall fails, a pool over its high-water mark waits for the next attach") {
    start_python();
    ref probe;
    std::int64_t before;
    constexpr int many = 10000;
    {
        attached here;
        probe = new_object();
        before = reference_count(probe);
        for (int i = 0; i < many; ++i)
            REQUIRE(pyattach_incref(probe) == PYATTACH_OK);
    }
    faults::always("add_pending_call");
    run_on_thread([&] {
        for (int i = 0; i < many; ++i)
            pyattach_decref(probe);
    });
    int asked = faults::times_failed();
    faults::always(nullptr);
    CHECK(asked == 4); // with 3904 waiting and every 1952 after that: the first refusal does not end the asking
    attached here;
    CHECK(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(reference_count(probe) == before);
}

TEST_CASE("tstates of ended threads are deleted later if the tstate needed for it cannot be made") {
    start_python();
    const pyattach_stats first = all_counters();
    const int batch = is_free_threaded() ? 72 : 12, failures = 60;
    for (int before = 0; before < failures; ++before) {
        barrier all_there("the others to come", batch);
        run_on_threads(batch, "one of a batch of threads to end", [&](int) {
            {
                attached here;
                run("import threading; threading.current_thread()"); // makes a _DummyThread with this thread's ident
            }
            orphan_own_tstate();
            all_there.arrive_and_wait();
        });
        run_on_thread([before] {
            faults::arm(before);
            pyattach_attached scope;
            pyattach_status status = pyattach_attached_begin(&scope);
            faults::disarm();
            EXPECT(status == PYATTACH_OK || status == PYATTACH_NO_MEMORY);
            if (status != PYATTACH_OK)
                return;
            run("threading.current_thread()");
            pyattach_attached_end(&scope);
        });
    }
    {
        attached here;
        CHECK(eval_int("1") == 1);
    }
    const pyattach_stats last = all_counters();
    CHECK(last.states_created - first.states_created >= static_cast<uint64_t>(batch) * failures);
    CHECK(last.states_deleted <= last.states_created);
    if (is_debug_build())
        return; // states are not kept
    // Whether another thread has the identity of an ended one; and, but for free-threaded builds, what is to be
    // forgotten of that one.
    std::vector<const char *> names = {"tstate_new", "dict_contains", "get_item"};
    if (!is_free_threaded())
        names.push_back("del_item");
    for (const char *name : names) {
        INFO(name);
        CHECK(faults::failed_so_far().count(name) == 1);
    }
}
