// pyattach_thread_prepare: a thread's tstate is made before its first attach, without attaching.
#include "support/attach_options.hpp"
#include "support/catch.hpp"
#include "support/recycled_ident.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"

using namespace support;

TEST_CASE("a prepared thread has its tstate while another thread keeps Python, and its attach makes none") {
    start_python();
    if (!keeps_tstates())
        return;
    // Free-threaded, CPython stops all threads to make the second tstate.
    run_on_thread([] { attached here; });
    attached keeps_python;
    latch is_prepared("the thread to be prepared"), may_attach("the thread may attach");
    std::uint64_t created = 0;
    task thread("the prepared thread", [&] {
        const auto before = all_counters().states_created;
        EXPECT(pyattach_thread_prepare() == PYATTACH_OK);
        EXPECT(!cpython_says_attached());
        created = all_counters().states_created - before;
        void *made = gilstate_tstate();
        EXPECT(pyattach_thread_prepare() == PYATTACH_OK); // there is one already
        EXPECT(gilstate_tstate() == made);
        is_prepared.count_down();
        may_attach.wait();
        for (int i = 0; i < 2; ++i) {
            attached here;
            EXPECT(current_tstate() == made || created == 0);
            EXPECT(pyattach_thread_prepare() == PYATTACH_OK);
            detached gap;
            EXPECT(pyattach_thread_prepare() == PYATTACH_OK);
        }
        EXPECT(all_counters().states_created - before == 1);
    });
    is_prepared.wait();                          // this thread is attached all the while
    CHECK((created == 1 || is_free_threaded())); // there an ended thread may have had the same ident
    detached gap;
    may_attach.count_down();
    thread.join();
}

TEST_CASE("the tstate of a prepared thread that never attaches is deleted, as any other of an ended thread") {
    start_python();
    if (!keeps_tstates() || is_free_threaded())
        return;
    const auto owned = tstates_owned();
    run_on_threads(20, "the threads to end", [](int) { EXPECT(pyattach_thread_prepare() == PYATTACH_OK); });
    run_on_thread([] { attached here; });
    CHECK(all_counters().states_dead <= 1);
    CHECK(tstates_owned() == owned);
}

TEST_CASE("a thread with the ident of an ended thread may be prepared, and its attach is as any other") {
    start_python();
    if (!keeps_tstates())
        return;
    recycled_ident threads;
    for (int i = 0; i < 3; ++i)
        threads.run([] {
            EXPECT(pyattach_thread_prepare() == PYATTACH_OK);
            attached here;
            EXPECT(eval_int("6 * 7") == 42);
        });
}

TEST_CASE("a thread with a tstate of other code, and the main thread, need no other one") {
    start_python();
    const auto before = all_counters().states_created;
    CHECK(pyattach_thread_prepare() == PYATTACH_OK); // Python made its tstate
    run_on_thread([] {
        foreign_attach other;
        CHECK(pyattach_thread_prepare() == PYATTACH_OK);
        foreign_detach gap;
        CHECK(pyattach_thread_prepare() == PYATTACH_OK);
    });
    if (keeps_tstates())
        CHECK(all_counters().states_created == before);
}

TEST_CASE("preparing is refused in a forbidden scope, and where no tstate is kept") {
    start_python();
    run_on_thread([] {
        {
            forbidden traverse;
            CHECK(pyattach_thread_prepare() == PYATTACH_FORBIDDEN);
        }
        {
            policy scoped(PYATTACH_THREADS_SCOPED);
            CHECK(pyattach_thread_prepare() == PYATTACH_UNSUPPORTED);
        }
        CHECK(gilstate_tstate() == nullptr);
        CHECK(pyattach_thread_prepare() == (keeps_tstates() ? PYATTACH_OK : PYATTACH_UNSUPPORTED));
        attached here;
        CHECK(eval_int("6 * 7") == 42);
    });
}

TEST_CASE("a prepared thread releases its tstate with pyattach_thread_release") {
    start_python();
    if (!keeps_tstates())
        return;
    run_on_thread([] {
        EXPECT(pyattach_thread_prepare() == PYATTACH_OK);
        CHECK(pyattach_thread_release() == PYATTACH_OK);
        CHECK(gilstate_tstate() == nullptr);
        attached here;
        CHECK(eval_int("6 * 7") == 42);
    });
}

TEST_CASE("a prepared thread attaches to a sub-interpreter") {
    start_python();
    attached outer;
    sub_interpreter sub;
    pyattach_interpreter *handle = sub.handle();
    {
        detached gap;
        run_on_thread([&] {
            CHECK(pyattach_thread_prepare() == (keeps_tstates() ? PYATTACH_OK : PYATTACH_UNSUPPORTED));
            {
                attached there(handle);
                CHECK(pyattach_interpreter_current() == handle);
            }
            attached here;
            CHECK(pyattach_interpreter_current() == pyattach_interpreter_main());
        });
    }
    sub.end();
}

TEST_CASE("the attached event of a prepared thread comes at its first attach") {
    start_python();
    if (!keeps_tstates())
        return;
    static std::atomic<int> events;
    events = 0;
    pyattach_set_thread_hook([](pyattach_thread_event event, pyattach_interpreter *,
                                void *) { events += event == PYATTACH_THREAD_ATTACHED; },
                             nullptr);
    run_on_thread([] {
        EXPECT(pyattach_thread_prepare() == PYATTACH_OK);
        CHECK(events == 0);
        { attached_no_drain here; }
        CHECK(events == 0);
        for (int i = 0; i < 2; ++i) {
            attached here;
            CHECK(events == 1);
        }
    });
    pyattach_set_thread_hook(nullptr, nullptr);
}
