// The attached scope: state, depth, nesting. Other code's attaching and detaching: attached_foreign_test.cpp.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

TEST_CASE("an assumed scope needs no attached scope around it, and may be a thread's first call") {
    start_python();
    auto scenario = [] {
        foreign_attach other;
        pyattach_attached assumed;
        REQUIRE(pyattach_attached_assume(&assumed) == PYATTACH_OK);
        CHECK(pyattach_attach_depth() == 1);
        CHECK(eval_int("2") == 2);
        pyattach_attached_end(&assumed);
        CHECK(pyattach_attach_depth() == 0);
        CHECK(cpython_says_attached());
    };
    scenario();
    run_on_thread(scenario);
}

TEST_CASE("an unchecked scope attaches, and nests") {
    start_python();
    run_on_thread([] {
        pyattach_attached outer, inner;
        REQUIRE(pyattach_attached_begin_unchecked(&outer) == PYATTACH_OK);
        CHECK(cpython_says_attached());
        CHECK(pyattach_attach_depth() == 1);
        REQUIRE(pyattach_attached_begin_unchecked(&inner) == PYATTACH_OK);
        CHECK(pyattach_attach_depth() == 2);
        pyattach_attached_end(&inner);
        CHECK(eval_int("3") == 3);
        pyattach_attached_end(&outer);
        CHECK_FALSE(cpython_says_attached());
        CHECK(pyattach_attach_depth() == 0);
    });
}

TEST_CASE("NULL in place of a scope is refused, and ending NULL is ignored") {
    start_python();
    attached here;
    CHECK(pyattach_attached_begin(nullptr) == PYATTACH_INVALID);
    CHECK(pyattach_attached_begin_unchecked(nullptr) == PYATTACH_INVALID);
    CHECK(pyattach_attached_assume(nullptr) == PYATTACH_INVALID);
    CHECK(pyattach_attached_begin_in(nullptr, pyattach_interpreter_main()) == PYATTACH_INVALID);
    pyattach_attached_end(nullptr);
    CHECK(pyattach_attach_depth() == 1);
}

TEST_CASE("many threads attach one after the other and at once") {
    start_python();
    run_on_thread([] {
        attached here;
        run("counted = 0; import threading; count_lock = threading.Lock()");
    });
    constexpr int threads = 8, rounds = 50;
    barrier together("all threads to be ready", threads);
    run_on_threads(threads, "an attaching thread to end", [&](int) {
        together.arrive_and_wait();
        for (int round = 0; round < rounds; ++round) {
            attached here;
            run("with count_lock: counted += 1");
        }
    });
    attached here;
    CHECK(eval_int("counted") == threads * rounds);
}

TEST_CASE("each native thread has a thread state of its own") {
    start_python();
    latch first_is_attached("the first thread to attach"), may_end("leave to end");
    void *first = nullptr;
    task other("the first thread to end", [&] {
        attached here;
        first = current_tstate();
        detached gap;
        first_is_attached.count_down();
        may_end.wait();
    });
    first_is_attached.wait();
    run_on_thread([&] {
        attached here;
        CHECK(current_tstate() != first);
        CHECK(gilstate_tstate() == current_tstate());
    });
    may_end.count_down();
    other.join();
}

TEST_CASE("a thread that has a tstate in the GILState slot is attached with that one") {
    start_python();
    void *const main_state = gilstate_tstate();
    REQUIRE(main_state);
    {
        attached here;
        CHECK(current_tstate() == main_state);
    }
    run_on_thread([] {
        foreign_attach other;
        void *tstate = current_tstate();
        foreign_detach gap;
        {
            attached here;
            CHECK(current_tstate() == tstate);
        }
        CHECK(gilstate_tstate() == tstate);
    });
    CHECK(gilstate_tstate() == main_state);
}
