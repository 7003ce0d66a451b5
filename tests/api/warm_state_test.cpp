// Warm thread states: kept from the first attach to the end of the thread, unless the policy says otherwise.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

namespace {

// What the policy comes to on this Python: debug builds cannot keep states.
bool is_warm() { return !is_debug_build(); }

class scoped_policy {
  public:
    scoped_policy() { pyattach_set_thread_policy(PYATTACH_THREADS_SCOPED); }
    scoped_policy(const scoped_policy &) = delete;
    scoped_policy &operator=(const scoped_policy &) = delete;
    ~scoped_policy() { pyattach_set_thread_policy(PYATTACH_THREADS_WARM); }
};

// Native threads see each other's `threading.local` by name, not by value.
void make_local() { run("import threading\nif 'local' not in globals(): local = threading.local()"); }

} // namespace

// PyO3 #5467
TEST_CASE("threading.local values survive from one attach of a thread to the next") {
    start_python();
    run_on_thread([] {
        {
            attached here;
            make_local();
            run("local.value = 7");
        }
        {
            attached here;
            CHECK(eval_true("hasattr(local, 'value')") == is_warm());
        }
    });
    run_on_thread([] {
        attached here;
        CHECK_FALSE(eval_true("hasattr(local, 'value')"));
    });
}

TEST_CASE("with the scoped policy threading.local values do not survive from one attach to the next") {
    start_python();
    scoped_policy scoped;
    run_on_thread([] {
        {
            attached here;
            make_local();
            run("local.value = 7");
            attached nested; // not an outermost attach
            CHECK(eval_true("hasattr(local, 'value')"));
        }
        CHECK(slot_state() == nullptr);
        attached here;
        CHECK_FALSE(eval_true("hasattr(local, 'value')"));
    });
}

// CPython test_foreign_thread, extended
TEST_CASE("the thread object is the same on every warm attach") {
    start_python();
    run_on_thread([] {
        ref first;
        {
            attached here;
            first = eval("__import__('threading').current_thread()");
        }
        attached here;
        ref second = eval("__import__('threading').current_thread()");
        if (is_warm())
            CHECK(first.get() == second.get());
        publish("current", second);
        CHECK(eval_true("current.is_alive()"));
        run("del current");
    });
}

// jni-rs threads_explicit_detach_tls_attachment, threads_guard_nesting_blocks_explicit_detachment
TEST_CASE("pyattach_thread_release deletes a warm tstate, but not inside a scope") {
    start_python();
    run_on_thread([] {
        CHECK(pyattach_thread_release() == PYATTACH_OK); // there is none yet
        {
            attached here;
            make_local();
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
        CHECK((slot_state() != nullptr) == is_warm());
        {
            forbidden traverse;
            CHECK(pyattach_thread_release() == PYATTACH_FORBIDDEN);
        }
        CHECK(pyattach_thread_release() == PYATTACH_OK);
        CHECK(slot_state() == nullptr);
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

// jni-rs threads_scope_attachments_block_tls_attachments; conformance.md, group 8: adopted state
TEST_CASE("a tstate that other code made is used and left to it") {
    start_python();
    run_on_thread([] {
        {
            foreign_attach other;
            foreign_detach gap;
            attached here;
            make_local();
            run("local.value = 7");
        }
        CHECK(slot_state() == nullptr); // deleted by its owner, PyGILState_Release
        attached here;
        CHECK_FALSE(eval_true("hasattr(local, 'value')"));
    });
}

// conformance.md, group 8: foreign PyGILState pair
TEST_CASE("foreign PyGILState pairs between attached scopes use the warm tstate and keep it") {
    start_python();
    if (!is_warm())
        return;
    run_on_thread([] {
        {
            attached here;
            make_local();
            run("local.value = 7");
        }
        void *mine = slot_state();
        for (int i = 0; i < 3; ++i) {
            foreign_attach other;
            CHECK(current_state() == mine);
            CHECK(eval_int("local.value") == 7);
        }
        attached here;
        CHECK(current_state() == mine);
        CHECK(eval_int("local.value") == 7);
    });
}

// jni-rs thread_detaches_for_tls_attachment_when_finished; conformance.md, group 7: reaping
TEST_CASE("the tstates of ended threads are deleted by later attaches, and their values die") {
    start_python();
    {
        attached here;
        make_local();
        run("died = []\nclass Value:\n    def __del__(self): died.append(1)\n");
    }
    auto deleted = [] {
        pyattach_stats now{};
        now.struct_size = sizeof now;
        pyattach_stats_get(&now);
        return now.states_deleted;
    };
    // More than the library lets wait; each of them attaches anew and may delete what earlier ones left.
    constexpr int threads = 100;
    auto before = deleted();
    for (int i = 0; i < threads; ++i)
        run_on_thread([] {
            for (int round = 0; round < 3; ++round) {
                attached here;
                run("local.value = Value()");
            }
        });
    attached here;
    auto states = static_cast<std::int64_t>(deleted() - before);
    // Two values of each thread were replaced by its next one; the third lives as long as the state.
    std::int64_t died = eval_int("len(died)") - 2 * threads;
    if (is_warm()) {
        CHECK(died >= 36);
        CHECK(died <= states); // other tests' threads had states too
        CHECK(died < threads);
    } else {
        CHECK(died == threads);
    }
}
