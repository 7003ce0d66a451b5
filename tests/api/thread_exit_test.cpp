// The end of a native thread with a warm tstate: it never waits for Python, and its TLS destructors may call
// everything.
#include "support/catch.hpp"
#include "support/sanitizers.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <atomic>
#include <climits>
#include <dlfcn.h>
#include <memory>
#include <pthread.h>
#include <set>
#include <vector>

#include "support/late_tls_destructor.hpp"
#include "support/tstate_counts.hpp"

using namespace support;

namespace {

// Starts threads that attach and end, so that the library deletes the tstates that wait.
void provoke_reaper() {
    for (int i = 0; i < 70; ++i)
        run_on_thread([] { attached here; });
}

} // namespace

TEST_CASE("an attached thread may join native threads that have warm states") {
    start_python();
    attached here;
    for (int i = 0; i < 20; ++i) {
        latch used("the thread to use Python"), may_end("permission to end");
        task thread("a thread that ends while its joiner is attached", [&] {
            {
                attached inside;
                make_thread_local();
                run("local.value = [1]");
            }
            used.count_down();
            may_end.wait();
        });
        {
            detached gap;
            used.wait();
        }
        may_end.count_down();
        thread.join(); // with the GIL in our hands
    }
    CHECK(eval_int("1") == 1);
}

TEST_CASE("free-threaded, a thread destroys its tstate at its end, and its thread-local data on itself") {
    start_python();
    if (!is_free_threaded() || !keeps_tstates())
        return;
    const pyattach_stats before = all_counters();
    {
        attached here;
        make_thread_local();
        run("class Held:\n"
            "    def __init__(self): self.maker = threading.get_ident()\n"
            "    def __del__(self): died.append(self.maker == threading.get_ident())\n"
            "died = []");
    }
    run_on_thread([] {
        attached here;
        run("local.value = Held()");
    });
    const pyattach_stats after = all_counters();
    CHECK(after.states_dead == before.states_dead);
    CHECK(after.states_deleted == before.states_deleted + 1);
    attached here;
    CHECK(eval_int("died == [True]") == 1);
    run("del Held, died");
}

TEST_CASE("free-threaded, a thread's end does not wait while the world is stopped") {
    start_python();
    void *stop = dlsym(RTLD_DEFAULT, "_PyEval_StopTheWorld"), *start = dlsym(RTLD_DEFAULT, "_PyEval_StartTheWorld");
    if (!is_free_threaded() || !keeps_tstates() || !stop || !start)
        return;
    latch used("the thread to use Python"), may_end("permission to end");
    task thread("a thread that ends while the world is stopped", [&] {
        { attached here; }
        used.count_down();
        may_end.wait();
    });
    used.wait();
    const pyattach_stats before = all_counters();
    attached here;
    void *const interp = cpython<void *()>("PyInterpreterState_Main")();
    reinterpret_cast<void (*)(void *)>(stop)(interp);
    may_end.count_down();
    thread.join();
    reinterpret_cast<void (*)(void *)>(start)(interp);
    CHECK(all_counters().states_dead == before.states_dead + 1);
}

TEST_CASE("the last destructor of a thread may still use Python, through the library and through PyGILState") {
    start_python();
    late_tls_destructor::key();
    for (bool through_us : {true, false}) {
        INFO("through us " << through_us);
        auto before = tstates_owned();
        int result = 0;
        auto use_python = [&] {
            // A tstate that was deleted too early, while this thread still runs, would be used here.
            provoke_reaper();
            if (through_us) {
                attached here;
                attached nested;
                detached gap;
                attached again;
                result = static_cast<int>(eval_int("6 * 7"));
            } else {
                foreign_attach other;
                result = static_cast<int>(eval_int("6 * 7"));
            }
        };
        late_tls_destructor late{use_python, 0};
        run_on_thread([&] {
            attached here;
            make_thread_local();
            run("local.value = 5");
            pthread_setspecific(late_tls_destructor::key(), &late);
        });
        CHECK(late.calls == last_round);
        CHECK(result == 42);
        CHECK(tstates_owned() == before);
    }
    provoke_reaper();
    attached here;
    CHECK(eval_int("1") == 1);
}

TEST_CASE("destructors of a thread may decref and query, before and after the library's exit hook") {
    start_python();
    late_tls_destructor::key();
    ref shared;
    {
        attached here;
        shared = new_object();
        for (int i = 0; i < 2; ++i)
            REQUIRE(pyattach_incref(shared) == PYATTACH_OK);
    }
    int asked = 0;
    auto use = [&] {
        asked +=
            pyattach_is_attached() == 0 && pyattach_attach_depth() == 0 && pyattach_interpreter_current() == nullptr;
        pyattach_decref(shared);
    };
    struct local_object {
        std::function<void()> last;
        ~local_object() {
            if (last)
                last();
        }
    };
    late_tls_destructor late{use, 0};
    run_on_thread([&] {
        static thread_local local_object local;
        local.last = use;
        pthread_setspecific(late_tls_destructor::key(), &late);
        attached here;
    });
    CHECK(asked == 2);
    attached here;
    REQUIRE(pyattach_pool_drain() == PYATTACH_OK);
    CHECK(reference_count(shared) == 1);
}

TEST_CASE("a thread that attaches for the first time in a destructor leaves nothing behind") {
    start_python();
    late_tls_destructor::key(); // so that the key below is younger than the library's
    pthread_key_t key;
    REQUIRE(pthread_key_create(&key, [](void *) { attached here; }) == 0);
    auto before = all_counters();
    for (int i = 0; i < 50; ++i)
        run_on_thread([&] { pthread_setspecific(key, &before); });
    provoke_reaper();
    auto after = all_counters();
    CHECK(after.states_created - before.states_created == 50 + 70);
    CHECK(after.states_deleted - before.states_deleted + after.states_dead - before.states_dead == 50 + 70);
    pthread_key_delete(key);
}

// From 3.13 on; before, `threading` knows threads by their identity alone.
TEST_CASE("a thread with the ident of an ended thread does not see that thread's data") {
    start_python();
    {
        attached here;
        make_thread_local();
        run("import threading; seen = []");
    }
    std::set<pthread_t> identities;
    int reused = 0;
    for (int i = 0; i < 50; ++i)
        run_on_thread([&] {
            reused += !identities.insert(pthread_self()).second;
            attached here;
            CHECK_FALSE(eval_true("hasattr(local, 'value')"));
            run("local.value = 'mine'");
            run("seen.append(threading.current_thread())");
        });
    CHECK(reused > 0); // or this test tested nothing
    attached here;
    // Where states end with their scope, that is left to Python, which does it from 3.13.
    if (keeps_tstates() || python_version() >= 0x030d0000)
        CHECK(eval_int("len(set(map(id, seen)))") == 50);
    run("del seen");
}
