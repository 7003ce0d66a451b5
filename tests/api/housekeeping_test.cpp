// Housekeeping: what waits is released soon, whatever the program does, by a thread of the library's own.
#include "support/catch.hpp"
#include "support/housekeeping.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"

#include <atomic>
#include <csignal>
#include <sys/syscall.h>
#include <unistd.h>

using namespace support;

namespace {

ref object_with(int references) {
    ref object = new_object();
    for (int i = 1; i < references; ++i)
        EXPECT(pyattach_incref(object) == PYATTACH_OK);
    return object;
}

void drop_on_thread(object *object, int references) {
    run_on_thread([&] {
        for (int i = 0; i < references; ++i)
            pyattach_decref(object);
    });
}

// No thread attaches, and the main thread is in C.
void wait_until_released(std::uint64_t before, std::uint64_t references) {
    wait_until("what waits to be released", [&] { return released_from_pools() >= before + references; });
}

} // namespace

TEST_CASE("one reference is released while no thread attaches and the main thread is in C") {
    start_python();
    housekeeping on;
    attached here;
    ref object = object_with(2);
    const std::uint64_t before = released_from_pools();
    {
        detached gap;
        drop_on_thread(object, 1);
        wait_until_released(before, 1);
    }
    CHECK(pyattach_pool_size() == 0);
    CHECK(reference_count(object) == 1);
}

TEST_CASE("a million references of one thread are released while only Python runs") {
    constexpr int many = 1000000;
    start_python();
    housekeeping on;
    attached here;
    ref object = object_with(many + 1);
    {
        detached gap;
        drop_on_thread(object, many);
    }
    publish("counted", object);
    run("import sys\nwhile sys.getrefcount(counted) > 100: pass\ndel counted");
    CHECK(pyattach_pool_size() == 0);
    CHECK(reference_count(object) == 1);
}

TEST_CASE("what thousands of short threads leave is released while the main thread is in C") {
    constexpr int threads = 2000, each = 10;
    start_python();
    housekeeping on;
    attached here;
    ref object = object_with(threads * each + 1);
    const std::uint64_t before = released_from_pools();
    {
        detached gap;
        for (int i = 0; i < threads; ++i)
            drop_on_thread(object, each);
        wait_until_released(before, threads * each);
    }
    CHECK(reference_count(object) == 1);
}

TEST_CASE(
    "the thread state of an ended thread is deleted, and its thread-local data released, though nothing attaches") {
    start_python();
    if (!keeps_tstates())
        return;
    housekeeping on;
    static std::atomic<int> finalized{0};
    {
        attached here;
        make_thread_local();
        publish("finalized", native_function([] { ++finalized; }));
        run("class Local:\n    def __del__(self): finalized()\n");
    }
    const std::uint64_t before = all_counters().states_deleted;
    run_on_thread([] {
        attached here;
        run("local.value = Local()");
    });
    wait_until("the thread state to be deleted",
               [&] { return all_counters().states_deleted > before && all_counters().states_dead == 0; });
    wait_until("the thread-local data to be released", [] { return finalized == 1; });
    attached here;
    run("del finalized, Local");
}

TEST_CASE("references to a sub-interpreter are released though no thread attaches to it") {
    start_python();
    housekeeping on;
    attached here;
    sub_interpreter sub;
    pyattach_interpreter *handle = sub.handle();
    const std::uint64_t before = released_from_pools();
    {
        detached gap;
        run_on_thread([&] {
            pyattach_attached there;
            EXPECT(pyattach_attached_begin_in(&there, handle) == PYATTACH_OK);
            object *list = eval("[]").release();
            pyattach_attached_end(&there);
            pyattach_decref_in(handle, list);
        });
        wait_until_released(before, 1);
    }
    sub.end();
}

TEST_CASE("destructors run on the thread named pyattach, on which all signals are blocked") {
    start_python();
    housekeeping on;
    static std::atomic<pid_t> ran_on{0};
    static std::atomic<bool> are_blocked{false};
    // The thread owns the object, so a free-threaded Python has no other thread to ask.
    run_on_thread([&] {
        ref object;
        {
            attached here;
            publish("note_thread", native_function([] {
                        sigset_t blocked;
                        pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
                        are_blocked = sigismember(&blocked, SIGINT) == 1 && sigismember(&blocked, SIGTERM) == 1;
                        ran_on = static_cast<pid_t>(syscall(SYS_gettid));
                    }));
            object = object_with_finalizer("note_thread()");
            run("import gc\ngc.collect()");
        }
        pyattach_decref(object.release());
    });
    wait_until("the destructor to run", [] { return ran_on != 0; });
    CHECK(ran_on == housekeeping_thread());
    CHECK(are_blocked);
    attached here;
    run("del note_thread");
}

TEST_CASE("the housekeeping thread sleeps when nothing waits any more") {
    start_python();
    housekeeping on;
    attached here;
    ref object = object_with(2);
    const std::uint64_t before = released_from_pools();
    detached gap;
    drop_on_thread(object, 1);
    wait_until_released(before, 1);
    const pid_t thread = housekeeping_thread();
    REQUIRE(thread != 0);
    wait_until("it to sleep", [&] { return is_asleep(thread); });
    gap.end();
    CHECK(reference_count(object) == 1);
}

TEST_CASE("without housekeeping nothing is released, until it is switched on again") {
    start_python();
    pyattach_set_housekeeping(PYATTACH_HOUSEKEEPING_OFF);
    attached here;
    ref object = object_with(2);
    const std::uint64_t before = released_from_pools();
    detached gap;
    drop_on_thread(object, 1);
    CHECK(housekeeping_thread() == 0);
    CHECK(pyattach_pool_size() == 1);
    housekeeping on;
    wait_until_released(before, 1);
    gap.end();
    CHECK(reference_count(object) == 1);
}

TEST_CASE("housekeeping that is switched off has ended when the call returns, also on an attached thread") {
    start_python();
    attached here;
    ref object = object_with(3);
    for (bool is_attached : {false, true}) {
        housekeeping on;
        const std::uint64_t before = released_from_pools();
        {
            detached gap;
            drop_on_thread(object, 1);
            wait_until_released(before, 1);
            REQUIRE(housekeeping_thread() != 0);
            if (!is_attached)
                pyattach_set_housekeeping(PYATTACH_HOUSEKEEPING_OFF);
        }
        if (is_attached)
            pyattach_set_housekeeping(PYATTACH_HOUSEKEEPING_OFF);
        CHECK(housekeeping_thread() == 0);
        CHECK(cpython_says_attached());
    }
}

TEST_CASE("housekeeping waits for the release delay, and notices that it is shorter") {
    start_python();
    housekeeping on(7200000000000); // half of it is an hour
    attached here;
    ref object = object_with(2);
    const std::uint64_t before = released_from_pools();
    {
        detached gap;
        drop_on_thread(object, 1);
        wait_until("the thread to be there", [] { return housekeeping_thread() != 0; });
        const pid_t thread = housekeeping_thread();
        wait_until("it to sleep", [&] { return is_asleep(thread); });
        CHECK(pyattach_pool_size() == 1);
        pyattach_set_release_delay(0);
        wait_until_released(before, 1);
    }
    CHECK(reference_count(object) == 1);
}

TEST_CASE("housekeeping has no budget, and does not wait for a thread that may not drain") {
    constexpr int many = 1000;
    start_python();
    housekeeping on;
    attached here;
    ref object = object_with(many + 1);
    pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    pyattach_set_drain_budget(0);
    pyattach_mutex_lock(&mutex); // no drain on this thread
    const std::uint64_t before = released_from_pools();
    {
        detached gap;
        drop_on_thread(object, many);
        wait_until_released(before, many);
    }
    pyattach_mutex_unlock(&mutex);
    pyattach_set_drain_budget(256);
    CHECK(reference_count(object) == 1);
}

TEST_CASE("a destructor on the housekeeping thread may switch housekeeping off") {
    start_python();
    housekeeping on;
    std::atomic<bool> is_off{false};
    run_on_thread([&] {
        ref object;
        {
            attached here;
            publish("switch_off", native_function([&] {
                        pyattach_set_housekeeping(PYATTACH_HOUSEKEEPING_OFF);
                        is_off = true;
                    }));
            object = object_with_finalizer("switch_off()");
            run("import gc\ngc.collect()");
        }
        pyattach_decref(object.release());
    });
    // Free-threaded, an object that its own thread has not given up dies on that thread.
    wait_until("the destructor", [&] { return is_off.load(); });
    wait_until("the thread to end", [] { return housekeeping_thread() == 0; });
    attached here;
    run("del switch_off");
}
