// What is kept, what is not: warm and scoped attaches inside each other, and what a thread finds again.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include "support/tstate_counts.hpp"

using namespace support;

namespace {

constexpr auto warm = PYATTACH_THREADS_WARM, scoped = PYATTACH_THREADS_SCOPED;

struct row {
    pyattach_thread_policy outer, inner;
    bool in_gap; // the inner scope attaches again, inside a detached one, instead of nesting
};

} // namespace

// jni-rs: its matrix of permanent and scoped attachments; threads_scoped_attachments_nest, nested_attach,
// threads_scope_attachments_block_tls_attachments, threads_explicit_detach_error_for_scoped_attachment
TEST_CASE("the outermost attach decides whether a tstate is kept, whatever is attached inside it") {
    start_python();
    for (row each :
         {row{warm, warm, false}, row{warm, scoped, false}, row{scoped, scoped, false}, row{scoped, warm, false},
          row{warm, warm, true}, row{warm, scoped, true}, row{scoped, scoped, true}, row{scoped, warm, true}}) {
        INFO("outer " << each.outer << ", inner " << each.inner << ", in a gap " << each.in_gap);
        run_on_thread([&] {
            bool kept = each.outer == warm && keeps_states();
            auto before = states_owned();
            {
                policy outer_policy(each.outer);
                attached outer;
                void *state = current_state();
                CHECK(states_owned() - before == 1);
                {
                    std::unique_ptr<detached> gap;
                    if (each.in_gap)
                        gap = std::make_unique<detached>();
                    {
                        policy inner_policy(each.inner);
                        attached inner;
                        CHECK(current_state() == state);
                        CHECK(states_owned() - before == 1);
                        CHECK(pyattach_thread_release() == PYATTACH_INVALID);
                    }
                    CHECK(cpython_says_attached() == !each.in_gap);
                    CHECK(states_owned() - before == 1);
                    CHECK(pyattach_thread_release() == PYATTACH_INVALID);
                }
                CHECK(current_state() == state);
                CHECK(eval_int("1") == 1);
            }
            CHECK_FALSE(cpython_says_attached());
            CHECK(states_owned() - before == kept);
            CHECK((slot_state() != nullptr) == kept);
            CHECK(pyattach_thread_release() == PYATTACH_OK);
            CHECK(states_owned() == before);
            CHECK(slot_state() == nullptr);
            CHECK(pyattach_thread_release() == PYATTACH_OK);
        });
    }
}

// jni-rs thread_detaches_for_tls_attachment_when_finished, thread_detaches_for_scoped_attachment
TEST_CASE("a thread that has ended owns no tstate") {
    start_python();
    for (pyattach_thread_policy each : {warm, scoped}) {
        policy now(each);
        auto before = states_owned();
        run_on_thread([&] {
            for (int i = 0; i < 3; ++i) {
                attached here;
                CHECK(states_owned() - before == 1);
            }
            CHECK(states_owned() - before == (each == warm && keeps_states()));
        });
        CHECK(states_owned() == before);
    }
}

TEST_CASE("a warm tstate stays warm when the policy becomes scoped, and a scoped one does not become warm") {
    start_python();
    run_on_thread([] {
        { attached here; }
        void *kept = slot_state();
        policy now(scoped);
        {
            attached here;
            if (keeps_states())
                CHECK(current_state() == kept);
        }
        CHECK(slot_state() == kept);
    });
}

TEST_CASE("one tstate serves all attaches of a thread") {
    start_python();
    run_on_thread([] {
        auto before = all_counters();
        for (int i = 0; i < 100; ++i)
            attached here;
        auto after = all_counters();
        CHECK(after.states_created - before.states_created == (keeps_states() ? 1 : 100));
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
    for (pyattach_thread_policy each : {warm, scoped}) {
        policy now(each);
        bool kept = each == warm && keeps_states();
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

// jni-rs threads_external_detach
TEST_CASE("PyEval_SaveThread and RestoreThread with the library's tstate do not make a second one") {
    start_python();
    run_on_thread([] {
        auto before = states_owned();
        {
            attached here;
            void *mine = current_state();
            {
                foreign_detach gap;
                CHECK(pyattach_is_attached() == 0);
                attached again;
                CHECK(current_state() == mine);
                CHECK(states_owned() - before == 1);
            }
            CHECK(pyattach_is_attached() == 1);
        }
        if (keeps_states()) {
            // Between scopes too: as PyEval_AcquireThread with a state that was remembered.
            void *cached = slot_state();
            cpython<void(void *)>("PyEval_RestoreThread")(cached);
            CHECK(eval_int("2") == 2);
            {
                attached nested;
                CHECK(pyattach_attach_depth() == 1);
                CHECK(current_state() == cached);
            }
            CHECK(cpython<void *()>("PyEval_SaveThread")() == cached);
            attached here;
            CHECK(current_state() == cached);
        }
        CHECK(states_owned() - before == keeps_states());
    });
}

// jni-rs attach_config
TEST_CASE("the name of a native thread is not changed") {
    start_python();
    run_on_thread([] {
        pthread_setname_np(pthread_self(), "named-by-host");
        {
            attached here;
            run("import threading; threading.current_thread()");
        }
        char name[32] = "";
        pthread_getname_np(pthread_self(), name, sizeof name);
        CHECK(std::string(name) == "named-by-host");
    });
}

TEST_CASE("a debug build keeps no tstates, whatever the policy says") {
    start_python();
    run_on_thread([] {
        { attached here; }
        CHECK((slot_state() == nullptr) == is_debug_build());
    });
}
