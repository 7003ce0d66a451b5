// Group 7: warm and scoped attach. The counter is the number of thread states that the library owns.
#include "conformance/conformance.hpp"

#include <pthread.h>

namespace {

constexpr auto warm = PYATTACH_THREADS_WARM, scoped = PYATTACH_THREADS_SCOPED;

std::int64_t kept(pyattach_thread_policy outer) { return outer == warm && keeps_tstates() ? 1 : 0; }

bool is_attached() {
    bool by_us = pyattach_is_attached() == 1;
    EXPECT(by_us == cpython_says_attached());
    return by_us;
}

} // namespace

TEST_CASE("jni-rs matrix of permanent and scoped attachment") {
    start_python();
    struct row {
        bool has_outer;
        pyattach_thread_policy outer, inner;
        bool in_gap = false; // the inner scope attaches again, inside a detached one, instead of nesting
    };
    for (row each : {row{false, warm, warm}, row{false, scoped, scoped}, row{true, warm, warm}, row{true, warm, scoped},
                     row{true, scoped, scoped}, row{true, scoped, warm}, row{true, warm, warm, true},
                     row{true, warm, scoped, true}, row{true, scoped, scoped, true}, row{true, scoped, warm, true}}) {
        INFO("outer " << each.has_outer << each.outer << ", inner " << each.inner << ", in a gap " << each.in_gap);
        run_on_thread([&] {
            auto before = tstates_owned();
            auto count = [&] { return tstates_owned() - before; };
            auto remaining = kept(each.outer);
            std::unique_ptr<attached> outer;
            if (each.has_outer) {
                policy thread_policy(each.outer);
                outer = std::make_unique<attached>();
            }
            void *tstate = current_tstate();
            std::unique_ptr<detached> gap;
            if (each.in_gap)
                gap = std::make_unique<detached>();
            {
                policy thread_policy(each.inner);
                attached inner;
                CHECK((!each.has_outer || current_tstate() == tstate));
                CHECK(count() == 1);
                CHECK(pyattach_thread_release() == PYATTACH_INVALID); // refused inside, all unchanged
                CHECK(count() == 1);
            }
            CHECK(is_attached() == (each.has_outer && !each.in_gap));
            CHECK(count() == (each.has_outer ? 1 : remaining));
            if (each.has_outer)
                CHECK(pyattach_thread_release() == PYATTACH_INVALID);
            gap.reset();
            outer.reset();
            CHECK_FALSE(is_attached());
            CHECK(count() == remaining);
            CHECK((gilstate_tstate() != nullptr) == (remaining == 1));
            CHECK(pyattach_thread_release() == PYATTACH_OK);
            CHECK(count() == 0);
            CHECK(gilstate_tstate() == nullptr);
            CHECK(pyattach_thread_release() == PYATTACH_OK);
        });
    }
}

TEST_CASE("jni-rs thread_detaches_for_tls_attachment_when_finished") {
    start_python();
    auto before = tstates_owned();
    run_on_thread([&] {
        { attached here; }
        CHECK(tstates_owned() - before == kept(warm));
    });
    CHECK(tstates_owned() == before);
}

// Only detaching is ported. CPython offers no way to notice that other code destroyed a tstate.
TEST_CASE("jni-rs threads_external_detach") {
    start_python();
    auto before = tstates_owned();
    run_on_thread([&] {
        attached outer;
        void *tstate = current_tstate();
        {
            foreign_detach gap;
            CHECK_FALSE(is_attached());
            CHECK(tstates_owned() - before == 1);
            attached again;
            CHECK(is_attached());
            CHECK(current_tstate() == tstate);
            CHECK(tstates_owned() - before == 1);
        }
        CHECK(is_attached());
        outer.end();
        if (keeps_tstates()) {
            // Between scopes, too: other code attaches with a tstate that it remembers, as with PyEval_AcquireThread.
            void *cached = gilstate_tstate();
            cpython<void(void *)>("PyEval_RestoreThread")(cached);
            CHECK(eval_int("2") == 2);
            {
                attached nested;
                CHECK(pyattach_attach_depth() == 1);
                CHECK(current_tstate() == cached);
            }
            CHECK(cpython<void *()>("PyEval_SaveThread")() == cached);
            attached again;
            CHECK(current_tstate() == cached);
        }
        CHECK(tstates_owned() - before == kept(warm));
    });
    CHECK(tstates_owned() == before);
}

TEST_CASE("jni-rs thread_detaches_for_scoped_attachment") {
    start_python();
    policy thread_policy(scoped);
    run_on_thread([&] {
        auto before = tstates_owned();
        {
            attached here;
            CHECK(tstates_owned() - before == 1);
        }
        CHECK(tstates_owned() == before);
        CHECK_FALSE(is_attached());
        CHECK(gilstate_tstate() == nullptr);
    });
}

TEST_CASE("jni-rs thread_detaches_for_outer_scoped_attachment") {
    start_python();
    policy thread_policy(scoped);
    run_on_thread([&] {
        auto before = tstates_owned();
        attached outer;
        { attached inner; }
        CHECK(is_attached());
        CHECK(tstates_owned() - before == 1);
        outer.end();
        CHECK_FALSE(is_attached());
        CHECK(tstates_owned() == before);
    });
    // A thread that has a state: nothing is made, and nothing is done at its end.
    auto before = all_counters();
    run_on_thread([] {
        int ensured = cpython<int()>("PyGILState_Ensure")();
        void *theirs = cpython<void *()>("PyEval_SaveThread")();
        {
            attached outer;
            attached inner;
            CHECK(current_tstate() == theirs);
        }
        CHECK(gilstate_tstate() == theirs);
        cpython<void(void *)>("PyEval_RestoreThread")(theirs);
        cpython<void(int)>("PyGILState_Release")(ensured);
    });
    auto after = all_counters();
    CHECK(after.states_created == before.states_created);
    CHECK(after.states_deleted == before.states_deleted);
    CHECK(after.states_dead == before.states_dead);
    CHECK(after.states_adopted == before.states_adopted + 1);
}

TEST_CASE("jni-rs threads_explicit_detach_error_for_scoped_attachment") {
    start_python();
    policy thread_policy(scoped);
    run_on_thread([] {
        auto before = tstates_owned();
        {
            attached here;
            void *state = current_tstate();
            CHECK(pyattach_thread_release() == PYATTACH_INVALID);
            CHECK(current_tstate() == state);
            CHECK(tstates_owned() - before == 1);
            CHECK(eval_int("1") == 1);
        }
        CHECK(pyattach_thread_release() == PYATTACH_OK);
        CHECK(tstates_owned() == before);
    });
}

TEST_CASE("jni-rs threads_explicit_detach_tls_attachment") {
    start_python();
    run_on_thread([] {
        auto before = tstates_owned();
        {
            attached here;
            CHECK(pyattach_thread_release() == PYATTACH_INVALID);
        }
        CHECK(tstates_owned() - before == kept(warm));
        CHECK(pyattach_thread_release() == PYATTACH_OK);
        CHECK(tstates_owned() == before);
        CHECK(gilstate_tstate() == nullptr);
        CHECK(pyattach_thread_release() == PYATTACH_OK);
        CHECK(tstates_owned() == before);
    });
}

TEST_CASE("jni-rs threads_scoped_attachments_nest") {
    start_python();
    policy thread_policy(scoped);
    run_on_thread([] {
        auto before = all_counters();
        attached outer;
        void *state = current_tstate();
        {
            attached inner;
            CHECK(current_tstate() == state);
        }
        CHECK(is_attached());
        outer.end();
        CHECK_FALSE(is_attached());
        CHECK(all_counters().states_created == before.states_created + 1);
    });
}

TEST_CASE("jni-rs threads_scope_attachments_block_tls_attachments") {
    start_python();
    run_on_thread([] {
        auto before = tstates_owned();
        {
            policy outer_policy(scoped);
            attached outer;
            policy inner_policy(warm);
            attached inner;
        }
        CHECK(tstates_owned() == before);
        CHECK(gilstate_tstate() == nullptr);
    });
}

TEST_CASE("jni-rs threads_guard_nesting_blocks_explicit_detachment") {
    start_python();
    run_on_thread([] {
        std::vector<std::unique_ptr<attached>> open;
        for (int level = 1; level <= 6; ++level) {
            policy thread_policy(level % 2 ? warm : scoped);
            open.push_back(std::make_unique<attached>());
            CHECK(pyattach_attach_depth() == level);
            CHECK(pyattach_thread_release() == PYATTACH_INVALID);
        }
        for (int level = 6; level >= 1; --level) {
            CHECK(pyattach_attach_depth() == level);
            CHECK(pyattach_thread_release() == PYATTACH_INVALID);
            open.pop_back();
        }
        CHECK(pyattach_attach_depth() == 0);
        CHECK(pyattach_thread_release() == PYATTACH_OK);
    });
}

TEST_CASE("jni-rs nested_attach") {
    start_python();
    auto before = tstates_owned();
    run_on_thread([&] {
        {
            attached outer;
            for (int i = 0; i < 3; ++i) {
                attached inner;
                CHECK(is_attached());
            }
            CHECK(is_attached());
        }
        CHECK(tstates_owned() - before == kept(warm));
    });
    CHECK(tstates_owned() == before);
}

TEST_CASE("jni-rs attach_config") {
    start_python();
    run_on_thread([] {
        pthread_setname_np(pthread_self(), "native-name");
        {
            attached here;
            run("__import__('threading').current_thread()");
        }
        char name[32] = "";
        pthread_getname_np(pthread_self(), name, sizeof name);
        CHECK(std::string(name) == "native-name");
    });
}
