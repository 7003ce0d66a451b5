// The forbidden scope by itself: what it refuses. Inside the garbage collector: traverse_test.cpp.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

namespace {

// Everything that must be refused in a forbidden scope, whatever the thread's state.
void check_all_refused() {
    int depth = pyattach_attach_depth();
    pyattach_attached scope;
    CHECK(pyattach_attached_begin(&scope) == PYATTACH_FORBIDDEN);
    CHECK(pyattach_attached_begin_unchecked(&scope) == PYATTACH_FORBIDDEN);
    CHECK(pyattach_attached_assume(&scope) == PYATTACH_FORBIDDEN);
    CHECK(pyattach_attach_depth() == depth);
    pyattach_detached gap;
    CHECK(pyattach_detached_begin(&gap) == PYATTACH_FORBIDDEN);
    CHECK(pyattach_is_attached() == 0);
    CHECK(pyattach_interpreter_current() == nullptr);
    CHECK(pyattach_interpreter_start() == PYATTACH_FORBIDDEN);
    CHECK(pyattach_interpreter_stop() == PYATTACH_FORBIDDEN);
    CHECK(pyattach_pool_drain() == PYATTACH_FORBIDDEN);
}

} // namespace

TEST_CASE("a forbidden scope refuses to attach and to detach, and changes nothing") {
    start_python();
    pyattach_interpreter *main = pyattach_interpreter_main();
    {
        forbidden traverse;
        check_all_refused();
        pyattach_attached scope;
        CHECK(pyattach_attached_begin_in(&scope, main) == PYATTACH_FORBIDDEN);
    }
    CHECK_FALSE(cpython_says_attached());
    attached here;
    void *state = current_tstate();
    {
        forbidden traverse;
        check_all_refused();
        CHECK(current_tstate() == state);
    }
    CHECK(current_tstate() == state);
    CHECK(pyattach_is_attached());
    CHECK(pyattach_attach_depth() == 1);
}

TEST_CASE("a forbidden scope refuses on a thread that has never met Python") {
    start_python();
    run_on_thread([] {
        {
            forbidden traverse;
            check_all_refused();
        }
        CHECK(gilstate_tstate() == nullptr); // refused before any call into CPython: nothing was made
        attached here;
        CHECK(eval_int("1") == 1);
    });
}

TEST_CASE("a forbidden scope can be asked for, and nests") {
    start_python();
    CHECK_FALSE(pyattach_is_forbidden());
    {
        forbidden outer;
        CHECK(pyattach_is_forbidden() == 1);
        {
            forbidden inner;
            CHECK(pyattach_is_forbidden() == 1);
        }
        CHECK(pyattach_is_forbidden() == 1);
        check_all_refused();
    }
    CHECK(pyattach_is_forbidden() == 0);
    CHECK(run_on_thread([] {
              forbidden here;
              return run_on_thread([] { return pyattach_is_forbidden(); });
          }) == 0); // it is the thread's own
}

TEST_CASE("a forbidden scope refuses new references, sections and calls") {
    start_python();
    attached here;
    ref object = new_object();
    {
        forbidden traverse;
        CHECK(pyattach_incref(object) == PYATTACH_FORBIDDEN);
        pyattach_critical_section section;
        CHECK(pyattach_critical_section_begin(&section, object) == PYATTACH_FORBIDDEN);
        CHECK(pyattach_critical_section_begin2(&section, object, object) == PYATTACH_FORBIDDEN);
        pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
        CHECK(pyattach_critical_section_begin_mutex(&section, &mutex) == PYATTACH_FORBIDDEN);
        CHECK(pyattach_critical_section_begin_mutex2(&section, &mutex, &mutex) == PYATTACH_FORBIDDEN);
        CHECK_FALSE(pyattach_mutex_is_locked(&mutex));
        ::_object *result = nullptr;
        CHECK(pyattach_eval("1", nullptr, nullptr, &result) == PYATTACH_FORBIDDEN);
        CHECK(pyattach_run("pass", nullptr, nullptr) == PYATTACH_FORBIDDEN);
        CHECK(pyattach_import("sys", &result) == PYATTACH_FORBIDDEN);
        CHECK(pyattach_check_signals() == PYATTACH_FORBIDDEN);
    }
    CHECK(reference_count(object) == 1);
}

TEST_CASE("a reference dropped in a forbidden scope is queued, also on an attached thread") {
    start_python();
    attached here;
    run("died = []");
    ref object = object_with_finalizer("died.append(1)");
    {
        forbidden traverse;
        object.drop();
        CHECK(pyattach_pool_size() == 1);
        {
            forbidden nested;
            CHECK(pyattach_pool_drain() == PYATTACH_FORBIDDEN);
        }
        CHECK(pyattach_pool_size() == 1);
    }
    CHECK(eval_int("len(died)") == 0);
    { attached nested; }
    CHECK(pyattach_pool_size() == 0);
    CHECK(eval_int("len(died)") == 1);
}

TEST_CASE("NULL in place of a forbidden scope is ignored") {
    start_python();
    pyattach_forbidden_begin(nullptr);
    CHECK(pyattach_is_forbidden() == 0);
    pyattach_forbidden_end(nullptr);
}
