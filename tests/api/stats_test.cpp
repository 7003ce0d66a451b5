// The counters: each event counts once, in its own counter.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"

#include <cstring>

using namespace support;

TEST_CASE("scopes are counted as what they were: attaching, nested, refused, detached") {
    start_python();
    pyattach_stats before = all_counters();
    {
        attached here;
        attached nested;
        detached gap;
        attached again;
    }
    forbidden traverse;
    pyattach_attached scope;
    CHECK(pyattach_attached_begin(&scope) == PYATTACH_FORBIDDEN);
    pyattach_stats after = all_counters();
    CHECK(after.attaches - before.attaches == 2);
    CHECK(after.nested - before.nested == 1);
    CHECK(after.detaches - before.detaches == 1);
    CHECK(after.refused - before.refused == 1);
}

TEST_CASE("the counts of a thread stay when it has ended") {
    start_python();
    pyattach_stats before = all_counters();
    for (int i = 0; i < 5; ++i)
        run_on_thread([] {
            attached here;
            attached nested;
        });
    pyattach_stats after = all_counters();
    CHECK(after.attaches - before.attaches == 5);
    CHECK(after.nested - before.nested == 5);
    CHECK(after.states_created - before.states_created == 5);
}

TEST_CASE("an adopted state is counted as adopted") {
    start_python();
    pyattach_stats before = all_counters();
    run_on_thread([] {
        foreign_attach other;
        foreign_detach gap;
        attached here;
    });
    pyattach_stats after = all_counters();
    CHECK(after.states_adopted - before.states_adopted == 1);
    CHECK(after.states_created == before.states_created);
}

TEST_CASE("a tstate made for a scope is not adopted by an attach inside a detached scope of it") {
    start_python();
    pyattach_stats before = all_counters();
    run_on_thread([] {
        pyattach_set_thread_policy(PYATTACH_THREADS_SCOPED);
        attached here;
        detached gap;
        attached again;
        pyattach_set_thread_policy(PYATTACH_THREADS_WARM);
    });
    pyattach_stats after = all_counters();
    CHECK(after.states_created - before.states_created == 1);
    CHECK(after.states_adopted == before.states_adopted);
}

TEST_CASE("drops are counted: released at once, queued, released from the pool") {
    start_python();
    attached here;
    ref object = new_object();
    for (int i = 0; i < 3; ++i)
        REQUIRE(pyattach_incref(object) == PYATTACH_OK);
    pyattach_stats before = all_counters();
    pyattach_decref(object);
    {
        foreign_detach gap;
        pyattach_decref(object);
        pyattach_decref(object);
    }
    REQUIRE(pyattach_pool_drain() == PYATTACH_OK);
    pyattach_stats after = all_counters();
    CHECK(after.drops_now - before.drops_now == 1);
    CHECK(after.drops_queued - before.drops_queued == 2);
    CHECK(after.drops_released - before.drops_released == 2);
    CHECK(after.drops_leaked == before.drops_leaked);
    CHECK(after.pool_high_water >= 2);
}

TEST_CASE("counters are filled as far as the caller's size says, and NULL is ignored") {
    start_python();
    pyattach_stats short_one;
    std::memset(&short_one, 0x55, sizeof short_one);
    short_one.struct_size = offsetof(pyattach_stats, refused);
    pyattach_stats_get(&short_one);
    CHECK(short_one.attaches != 0x5555555555555555u);
    CHECK(short_one.refused == 0x5555555555555555u);
    pyattach_stats_get(nullptr);
}
