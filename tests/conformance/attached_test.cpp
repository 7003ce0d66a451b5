// Group 1: attached scopes and nesting.
#include "conformance/conformance.hpp"

#include <cstring>
#include <type_traits>

TEST_CASE("PyO3 test_attach_counts") {
    start_python();
    CHECK(pyattach_attach_depth() == 0);
    attached outer;
    CHECK(pyattach_attach_depth() == 1);
    pyattach_attached first, second, nested;
    REQUIRE(pyattach_attached_assume(&first) == PYATTACH_OK);
    CHECK(pyattach_attach_depth() == 2);
    REQUIRE(pyattach_attached_assume(&second) == PYATTACH_OK);
    CHECK(pyattach_attach_depth() == 3);
    pyattach_attached_end(&first);
    CHECK(pyattach_attach_depth() == 2);
    REQUIRE(pyattach_attached_begin(&nested) == PYATTACH_OK);
    CHECK(pyattach_attach_depth() == 3);
    pyattach_attached_end(&second);
    CHECK(pyattach_attach_depth() == 2);
    pyattach_attached_end(&nested);
    CHECK(pyattach_attach_depth() == 1);
    CHECK(pyattach_is_attached());
    outer.end();
    CHECK(pyattach_attach_depth() == 0);
    CHECK_FALSE(pyattach_is_attached());
}

TEST_CASE("PyO3 recursive_attach_ok") {
    start_python();
    attached outer;
    ref made;
    {
        attached nested;
        made = new_object();
    }
    CHECK(reference_count(made) == 1);
    publish("made", made);
    CHECK(eval_true("type(made) is object"));
    CHECK(reference_count(made) == 2);
    run("del made");
}

TEST_CASE("PyO3 test_acquire_gil") {
    start_python();
    auto scenario = [] {
        CHECK_FALSE(pyattach_is_attached());
        CHECK_FALSE(cpython_says_attached());
        {
            attached here;
            CHECK(pyattach_is_attached());
            CHECK(cpython_says_attached());
        }
        CHECK_FALSE(pyattach_is_attached());
        CHECK_FALSE(cpython_says_attached());
    };
    scenario(); // on the main thread
    run_on_thread(scenario);
}

TEST_CASE("PyO3 test_try_attach_ok_when_detached") {
    start_python();
    attached here;
    detached gap;
    pyattach_attached again;
    REQUIRE(pyattach_attached_begin(&again) == PYATTACH_OK);
    CHECK(cpython_says_attached());
    pyattach_attached_end(&again);
    CHECK_FALSE(cpython_says_attached());
}

TEST_CASE("PyO3 test_try_attach_fail_during_gc") {
    start_python();
    attached here;
    auto before = all_counters();
    {
        forbidden traverse;
        CHECK(try_to_attach() == PYATTACH_FORBIDDEN);
    }
    auto after = all_counters();
    CHECK(after.refused == before.refused + 1);
    CHECK(after.nested == before.nested);
    CHECK(pyattach_attach_depth() == 1);
    CHECK(try_to_attach() == PYATTACH_OK);
}

// As PyO3's, the token is empty.
TEST_CASE("PyO3 python_is_zst") {
    CHECK(std::is_empty_v<pyattach::token>);
    CHECK(std::is_trivially_copyable_v<pyattach::token>);
}

TEST_CASE("PyO3 test_issue_219") {
    start_python();
    attached here;
    int depth = 0;
    ref function = native_function([&] {
        attached inside;
        depth = pyattach_attach_depth();
        EXPECT(eval_int("6 * 7") == 42);
    });
    publish("function", function);
    run("function()");
    CHECK(depth == 2);
    run("import threading\nthread = threading.Thread(target=function)\nthread.start(); thread.join()\n");
    CHECK(depth == 1);
    run("del function");
}

TEST_CASE("PyO3 v0.12 test_gil_counts") {
    start_python();
    pyattach::attached first;
    auto depth = [] { return pyattach_attach_depth(); };
    CHECK(depth() == 1);
    pyattach::arena pool{first.token()}; // an owned-reference scope is no attached scope
    pyattach_attached second, third;
    REQUIRE(pyattach_attached_assume(&second) == PYATTACH_OK);
    CHECK(depth() == 2);
    REQUIRE(pyattach_attached_begin(&third) == PYATTACH_OK);
    CHECK(depth() == 3);
    pyattach_attached_end(&second);
    CHECK(depth() == 2);
    REQUIRE(pyattach_attached_begin(&second) == PYATTACH_OK);
    {
        pyattach::arena inner{first.token()};
        CHECK(depth() == 3);
    }
    pyattach_attached_end(&third);
    CHECK(depth() == 2);
    pyattach_attached_end(&second);
    CHECK(depth() == 1);
}

TEST_CASE("PyO3 v0.12 doc with_gil") {
    start_python();
    CHECK(pyattach::with_attached([](pyattach::token py) { return py.to<int>(py.eval("5")); }) == 5);
}

CHILD("ends the scope that attached before the others") {
    start_python();
    pyattach_attached first, second, third;
    EXPECT(pyattach_attached_begin(&first) == PYATTACH_OK);
    EXPECT(pyattach_attached_begin(&second) == PYATTACH_OK);
    EXPECT(pyattach_attached_begin(&third) == PYATTACH_OK);
    pyattach_attached_end(&second);
    EXPECT(eval_int("1") == 1);
    pyattach_attached_end(&first);
}
TEST_CASE("PyO3 v0.12 doc acquire_gil") {
    check_aborts("ends the scope that attached before the others", {"pyattach_attached_end", "last"});
}

CHILD("carries an attached scope out of a detached one") {
    start_python();
    pyattach_attached outer, carried;
    pyattach_detached gap;
    EXPECT(pyattach_attached_begin(&outer) == PYATTACH_OK);
    ref object = new_object();
    EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
    EXPECT(pyattach_attached_begin(&carried) == PYATTACH_OK);
    EXPECT(reference_count(object) == 1); // all is well until
    EXPECT(pyattach_detached_end(&gap) == PYATTACH_OK);
}
TEST_CASE("PyO3 issue 1019, first case") {
    check_aborts("carries an attached scope out of a detached one", {"pyattach_detached_end", "innermost first"});
}

CHILD("closes the scope that attached with an inner one open") {
    start_python();
    pyattach_attached outer, inner;
    EXPECT(pyattach_attached_begin(&outer) == PYATTACH_OK);
    EXPECT(pyattach_attached_begin(&inner) == PYATTACH_OK);
    EXPECT(eval_int("2") == 2);
    pyattach_attached_end(&outer);
    std::_Exit(0); // not caught at that close
}
TEST_CASE("PyO3 issue 1019, second case") {
    check_aborts("closes the scope that attached with an inner one open", {"pyattach_attached_end", "nested", "last"});
}

CHILD("assumes what is not so") {
    start_python();
    pyattach_attached scope;
    EXPECT(pyattach_attached_assume(&scope) == PYATTACH_OK);
}
TEST_CASE("PyO3 v0.12 doc assume_gil_acquired") {
    start_python();
    attached here;
    void *state = current_tstate();
    auto before = all_counters();
    pyattach_attached assumed;
    REQUIRE(pyattach_attached_assume(&assumed) == PYATTACH_OK);
    CHECK(current_tstate() == state);
    CHECK(pyattach_attach_depth() == 2);
    CHECK(all_counters().attaches == before.attaches);
    pyattach_attached_end(&assumed);
    CHECK(pyattach_attach_depth() == 1);
    CHECK(pyattach_is_attached());
    CHECK(current_tstate() == state);
    if (TESTS_CHECKS)
        check_aborts("assumes what is not so", {"pyattach_attached_assume", "guarantees"});
}

TEST_CASE("CPython, review of PR 149116") {
    start_python();
    attached here;
    void *state = current_tstate();
    CHECK(try_to_attach() == PYATTACH_OK);
    CHECK(cpython_says_attached());
    CHECK(current_tstate() == state);
    foreign_attach other;
    CHECK(try_to_attach() == PYATTACH_OK);
    CHECK(pyattach_is_attached());
    CHECK(cpython_says_attached());
    CHECK(eval_int("1") == 1);
}

CHILD("is forbidden before there is a Python") {
    forbidden traverse;
    pyattach_attached scope;
    // A library that looked for CPython first would return NO_PYTHON.
    EXPECT(pyattach_attached_begin_unchecked(&scope) == PYATTACH_FORBIDDEN);
}
TEST_CASE("ext: forbidden scope, then the unchecked attach") {
    check_succeeds("is forbidden before there is a Python");
    start_python();
    run_on_thread([] {
        auto before = all_counters();
        {
            forbidden traverse;
            pyattach_attached scope;
            CHECK(pyattach_attached_begin_unchecked(&scope) == PYATTACH_FORBIDDEN);
        }
        auto after = all_counters();
        CHECK(after.states_created == before.states_created);
        CHECK(after.refused == before.refused + 1);
        CHECK(gilstate_tstate() == nullptr);
        CHECK(pyattach_attach_depth() == 0);
    });
}

TEST_CASE("ext: foreign detach below us") {
    start_python();
    attached here;
    ref shared = new_object();
    object *reference = second_reference(shared);
    size_t waiting = pyattach_pool_size();
    {
        foreign_detach gap; // other code's Save and Restore; the library's depth stays 1
        CHECK(pyattach_attach_depth() == 1);
        CHECK_FALSE(pyattach_is_attached());
        CHECK(pyattach_incref(shared) == PYATTACH_NOT_ATTACHED);
        pyattach_decref(reference);
        CHECK(pyattach_pool_size() == waiting + 1);
        {
            attached again;
            CHECK(pyattach_is_attached());
            CHECK(cpython_says_attached());
            CHECK(reference_count(shared) == 1);
        }
        CHECK_FALSE(pyattach_is_attached());
        CHECK_FALSE(cpython_says_attached());
    }
    CHECK(pyattach_is_attached());
    CHECK(cpython_says_attached());
}

TEST_CASE("ext: foreign attach above nothing of ours") {
    start_python();
    run_on_thread([] {
        foreign_attach other;
        CHECK(pyattach_is_attached());
        CHECK(pyattach_attach_depth() == 0);
        void *tstate = current_tstate();
        auto before = all_counters();
        {
            attached nested;
            CHECK(current_tstate() == tstate);
            CHECK(pyattach_attach_depth() == 1);
            CHECK(eval_int("3") == 3);
        }
        CHECK(current_tstate() == tstate);
        auto after = all_counters();
        CHECK(after.attaches == before.attaches);
        CHECK(after.states_created == before.states_created);
        ref shared = new_object();
        pyattach_decref(second_reference(shared));
        CHECK(reference_count(shared) == 1);
        CHECK(all_counters().drops_queued == before.drops_queued);
    });
}
