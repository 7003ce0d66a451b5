// Tstates that outlive their interpreter. After a restart CPython's objects have their old addresses again, and only
// the library's generation tells the two runs apart.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/orphaned_tstate.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "support/tstate_counts.hpp"

using namespace support;

namespace {

void restart() {
    EXPECT(!stop_python());
    start_python();
}

// On one thread: `first` in the first generation, a restart by the main thread, `second` in the second generation.
void live_twice(const std::function<void()> &first, const std::function<void()> &second) {
    start_python();
    latch lived("the first life to be over"), restarted("the second life to begin");
    task thread("the thread that lives twice to end", [&] {
        first();
        lived.count_down();
        restarted.wait();
        second();
    });
    lived.wait();
    restart();
    restarted.count_down();
    thread.join();
}

void use_python() {
    attached here;
    EXPECT(eval_int("6 * 7") == 42);
}

void churn() {
    for (int i = 0; i < 70; ++i)
        run_on_thread(use_python);
}

} // namespace

CHILD("a warm state from an earlier life") {
    pyattach_stats first{};
    live_twice(
        [&] {
            use_python();
            first = all_counters();
        },
        [&] {
            use_python();
            auto second = all_counters();
            EXPECT(second.states_created - first.states_created == 1);
            EXPECT(!keeps_tstates() ||
                   second.states_deleted == first.states_deleted); // not freed: it is not ours any more
            EXPECT(second.states_adopted == first.states_adopted); // nor adopted as other code's
            void *tstate = gilstate_tstate();
            {
                // 3.15: what PyGILState looks at still named the old state until we attached.
                foreign_attach other;
                EXPECT(!keeps_tstates() || current_tstate() == tstate);
                EXPECT(eval_int("1") == 1);
            }
            use_python();
            EXPECT(pyattach_thread_release() == PYATTACH_OK);
            EXPECT(gilstate_tstate() == nullptr);
            use_python();
        });
    churn();
    EXPECT(!stop_python());
}
TEST_CASE("a warm tstate of an earlier generation is neither used nor freed, and the thread gets a new one") {
    check_succeeds("a warm state from an earlier life");
}

CHILD("a state of an earlier life that is given back") {
    live_twice(use_python, [] {
        EXPECT(pyattach_thread_release() == PYATTACH_OK);
        use_python();
    });
    churn();
    EXPECT(!stop_python());
}
TEST_CASE("pyattach_thread_release is allowed with a tstate of an earlier generation") {
    check_succeeds("a state of an earlier life that is given back");
}

CHILD("a state of the host's from an earlier life") {
    live_twice(
        [] {
            cpython<int()>("PyGILState_Ensure")();
            cpython<void *()>("PyEval_SaveThread")();
            use_python(); // adopts it
        },
        [] {
            auto before = all_counters();
            use_python();
            auto after = all_counters();
            EXPECT(after.states_created > before.states_created);
            foreign_attach other;
            EXPECT(eval_int("1") == 1);
        });
    churn();
    EXPECT(!stop_python());
}
TEST_CASE("a tstate that the host kept through a finalization is not adopted after the restart") {
    check_succeeds("a state of the host's from an earlier life");
}

CHILD("the main thread in three lives") {
    start_python();
    for (int life = 0; life < 3; ++life) {
        auto before = all_counters();
        use_python();
        EXPECT(all_counters().states_created == before.states_created);
        attached here;
        EXPECT(cpython<std::uint64_t(void *)>("PyThreadState_GetID")(current_tstate()) == 1);
        here.end();
        restart();
    }
    EXPECT(!stop_python());
}
TEST_CASE("after each restart the main thread uses the new generation's tstate, though the addresses are equal") {
    check_succeeds("the main thread in three lives");
}

CHILD("threads that ended in an earlier life") {
    start_python();
    for (int i = 0; i < 5; ++i)
        run_on_thread([] {
            use_python();
            orphan_own_tstate();
        });
    EXPECT(!keeps_tstates() || all_counters().states_dead > 0);
    restart();
    EXPECT(all_counters().states_dead == 0); // CPython took them
    auto before = all_counters();
    churn();
    auto after = all_counters();
    std::uint64_t created = after.states_created - before.states_created;
    EXPECT(created - (after.states_deleted - before.states_deleted) == after.states_dead);
    EXPECT(!stop_python());
}
TEST_CASE("tstates of threads that ended in an earlier generation are not deleted after a restart") {
    check_succeeds("threads that ended in an earlier life");
}

CHILD("a thread that ends between two lives") {
    start_python();
    latch used("the thread to use Python"), may_end("permission to end");
    task thread("the thread to end", [&] {
        use_python();
        used.count_down();
        may_end.wait();
    });
    used.wait();
    EXPECT(!stop_python());
    may_end.count_down();
    thread.join();
    start_python();
    churn();
    EXPECT(!stop_python());
}
TEST_CASE("a thread with a warm tstate may end while no Python runs") {
    check_succeeds("a thread that ends between two lives");
}

// The allocator gives the addresses of ended states again.
CHILD("a state of the host's where an earlier life had one") {
    constexpr int lives = 12;
    start_python();
    barrier turn("a life to begin or to end", 2);
    std::vector<void *> seen;
    int again = 0;
    bool is_adopted = true;
    task thread("the thread of all lives to end", [&] {
        for (int life = 0; life < lives; ++life) {
            int before = cpython<int()>("PyGILState_Ensure")();
            void *hosts = cpython<void *()>("PyEval_SaveThread")();
            again += std::count(seen.begin(), seen.end(), hosts) > 0;
            seen.push_back(hosts);
            const auto counted = all_counters();
            {
                attached here;
                is_adopted = is_adopted && current_tstate() == hosts;
            }
            is_adopted = is_adopted && all_counters().states_created == counted.states_created;
            cpython<void(void *)>("PyEval_RestoreThread")(hosts);
            cpython<void(int)>("PyGILState_Release")(before);
            turn.arrive_and_wait();
            turn.arrive_and_wait();
        }
    });
    for (int life = 0; life < lives; ++life) {
        turn.arrive_and_wait();
        restart();
        turn.arrive_and_wait();
    }
    thread.join();
    std::printf("%d addresses came again\n", again);
    EXPECT(is_adopted);
    EXPECT(!stop_python());
}
TEST_CASE("the host's tstate is adopted although one of an earlier generation had its address") {
    load_python();
    // There what PyGILState looks at may name the state of an ended life, and nothing tells the two apart.
    if (python_version() < 0x030f0000)
        check_succeeds("a state of the host's where an earlier life had one");
}

CHILD("a thread with scopes of an ended life") {
    pyattach_set_exit_timeout(10 * 1000000LL);
    latch inside("the thread to be inside"), restarted("the next life to begin");
    start_python();
    task thread("the thread of two lives to end", [&] {
        pyattach_attached outer;
        pyattach_detached gap;
        EXPECT(pyattach_attached_begin(&outer) == PYATTACH_OK);
        EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
        inside.count_down();
        restarted.wait();
        EXPECT(pyattach_detached_end(&gap) == PYATTACH_FINALIZING);
        {
            attached here;
            EXPECT(pyattach_attach_depth() == 1);
            EXPECT(eval_int("6 * 7") == 42);
            detached again;
        }
        pyattach_attached_end(&outer);
        use_python();
    });
    inside.wait();
    restart();
    restarted.count_down();
    thread.join();
    EXPECT(!stop_python());
}
TEST_CASE("a thread whose scopes are of an ended generation attaches to the next generation inside them") {
    check_succeeds("a thread with scopes of an ended life");
}
