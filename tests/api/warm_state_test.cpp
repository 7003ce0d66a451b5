// Warm tstates and policies: a tstate is kept from the first attach to the end of the thread, unless the policy is
// scoped.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"

using namespace support;

TEST_CASE("with the scoped policy threading.local values do not survive from one attach to the next") {
    start_python();
    policy scoped(PYATTACH_THREADS_SCOPED);
    run_on_thread([] {
        {
            attached here;
            make_thread_local();
            run("local.value = 7");
            attached nested; // not an outermost attach
            CHECK(eval_true("hasattr(local, 'value')"));
        }
        CHECK(gilstate_tstate() == nullptr);
        attached here;
        CHECK_FALSE(eval_true("hasattr(local, 'value')"));
    });
}

TEST_CASE("pyattach_thread_release deletes a warm tstate, but not inside a scope") {
    start_python();
    run_on_thread([] {
        CHECK(pyattach_thread_release() == PYATTACH_OK); // there is none yet
        {
            attached here;
            make_thread_local();
            run("local.value = 7");
            CHECK(pyattach_thread_release() == PYATTACH_INVALID);
            {
                attached nested;
                CHECK(pyattach_thread_release() == PYATTACH_INVALID);
            }
            {
                detached gap;
                CHECK(pyattach_thread_release() == PYATTACH_INVALID);
            }
            CHECK(eval_int("local.value") == 7);
        }
        CHECK((gilstate_tstate() != nullptr) == keeps_tstates());
        {
            forbidden traverse;
            CHECK(pyattach_thread_release() == PYATTACH_FORBIDDEN);
        }
        CHECK(pyattach_thread_release() == PYATTACH_OK);
        CHECK(gilstate_tstate() == nullptr);
        CHECK(pyattach_thread_release() == PYATTACH_OK);
        attached here;
        CHECK_FALSE(eval_true("hasattr(local, 'value')"));
    });
    run_on_thread([] {
        { attached here; }
        foreign_attach other;
        CHECK(pyattach_thread_release() == PYATTACH_INVALID);
    });
}

TEST_CASE("a tstate that other code made is used and left to it") {
    start_python();
    run_on_thread([] {
        {
            foreign_attach other;
            foreign_detach gap;
            attached here;
            make_thread_local();
            run("local.value = 7");
        }
        CHECK(gilstate_tstate() == nullptr); // deleted by its owner, PyGILState_Release
        attached here;
        CHECK_FALSE(eval_true("hasattr(local, 'value')"));
    });
}

TEST_CASE("a warm tstate stays warm when the policy becomes scoped, and a scoped one does not become warm") {
    start_python();
    run_on_thread([] {
        { attached here; }
        void *kept = gilstate_tstate();
        policy scoped(PYATTACH_THREADS_SCOPED);
        {
            attached here;
            if (keeps_tstates())
                CHECK(current_tstate() == kept);
        }
        CHECK(gilstate_tstate() == kept);
    });
}

TEST_CASE("one tstate serves all attaches of a thread") {
    start_python();
    run_on_thread([] {
        auto before = all_counters();
        for (int i = 0; i < 100; ++i)
            attached here;
        auto after = all_counters();
        CHECK(after.states_created - before.states_created == (keeps_tstates() ? 1 : 100));
        CHECK(after.states_adopted == before.states_adopted);
        CHECK(after.attaches - before.attaches == 100);
    });
}

TEST_CASE("trace functions and context variables survive between warm attaches, and not between scoped ones") {
    start_python();
    {
        attached here;
        run("import sys, contextvars\n"
            "variable = contextvars.ContextVar('variable', default=None)\n"
            "def tracer(frame, event, argument): return None\n");
    }
    for (pyattach_thread_policy each : {PYATTACH_THREADS_WARM, PYATTACH_THREADS_SCOPED}) {
        policy scope(each);
        bool kept = each == PYATTACH_THREADS_WARM && keeps_tstates();
        run_on_thread([&] {
            {
                attached here;
                run("sys.settrace(tracer); variable.set('mine')");
            }
            attached here;
            CHECK(eval_true("sys.gettrace() is tracer") == kept);
            CHECK(eval_true("variable.get() == 'mine'") == kept);
            run("sys.settrace(None)");
        });
    }
}

TEST_CASE("a debug build keeps no tstates, whatever the policy says") {
    start_python();
    run_on_thread([] {
        { attached here; }
        CHECK((gilstate_tstate() == nullptr) == is_debug_build());
    });
}
