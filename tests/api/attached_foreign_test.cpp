// Attached scopes beside code that attaches, detaches and switches thread states without telling the library.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"
#include "support/tstate_counts.hpp"

#include <vector>

using namespace support;

TEST_CASE("a thread is not attached because another one is") {
    start_python();
    latch attached_elsewhere("the other thread to attach"), looked("the look to be taken");
    task other("the attached thread to end", [&] {
        attached here;
        attached_elsewhere.count_down();
        looked.wait(); // attached all the while
    });
    attached_elsewhere.wait();
    run_on_thread([] {
        CHECK_FALSE(pyattach_is_attached());
        CHECK_FALSE(cpython_says_attached());
        CHECK(pyattach_interpreter_current() == nullptr);
        int marker = 0;
        CHECK(pyattach_incref(reinterpret_cast<object *>(&marker)) == PYATTACH_NOT_ATTACHED);
        CHECK(pyattach_pool_drain() == PYATTACH_NOT_ATTACHED);
        pyattach_detached gap;
        CHECK(pyattach_detached_begin(&gap) == PYATTACH_NOT_ATTACHED);
    });
    looked.count_down();
    other.join();
}

TEST_CASE("a thread that other code switched to a sub-interpreter attaches there, nested") {
    start_python();
    attached here;
    void *main_state = current_tstate();
    pyattach_interpreter *main = pyattach_interpreter_main();
    void *sub = cpython<void *()>("Py_NewInterpreter")();
    REQUIRE(sub);
    {
        // Up to 3.11 the library cannot see such a tstate, as pyattach_is_attached documents.
        if (python_version() >= 0x030c0000) {
            CHECK(pyattach_is_attached());
            attached nested;
            CHECK(current_tstate() == sub);
            CHECK(pyattach_interpreter_current() != main);
            CHECK(pyattach_interpreter_current() != nullptr);
        }
    }
    cpython<void(void *)>("Py_EndInterpreter")(sub);
    cpython<void *(void *)>("PyThreadState_Swap")(main_state);
    CHECK(pyattach_is_attached());
    CHECK(pyattach_interpreter_current() == main);
}

TEST_CASE("attaching to the main interpreter by name switches over from a sub-interpreter, and back") {
    start_python();
    attached here;
    void *main_state = current_tstate();
    pyattach_interpreter *main = pyattach_interpreter_main();
    REQUIRE(main);
    void *sub = cpython<void *()>("Py_NewInterpreter")();
    REQUIRE(sub);
    if (python_version() >= 0x030c0000) {
        {
            attached in_main(main);
            CHECK(pyattach_interpreter_current() == main);
            CHECK(current_tstate() != sub);
            CHECK(eval_true("__import__('threading').current_thread() is not None"));
            CHECK(pyattach_is_attached());
        }
        CHECK(current_tstate() == sub);
        CHECK(pyattach_is_attached());
    }
    cpython<void(void *)>("Py_EndInterpreter")(sub);
    cpython<void *(void *)>("PyThreadState_Swap")(main_state);
    CHECK(pyattach_interpreter_current() == main);
}

TEST_CASE("attaching to the main interpreter by name attaches a thread like attaching to none by name") {
    start_python();
    pyattach_interpreter *main = pyattach_interpreter_main();
    REQUIRE(main);
    run_on_thread([&] {
        attached outer(main);
        CHECK(pyattach_interpreter_current() == main);
        attached inner(main);
        CHECK(pyattach_attach_depth() == 2);
        pyattach_attached scope;
        CHECK(pyattach_attached_begin_in(&scope, nullptr) == PYATTACH_INVALID);
    });
}

// The second time on, scopes on such a thread take ways of their own.
TEST_CASE("scopes nest, alternate and are counted on a thread that other code attached") {
    start_python();
    run_on_thread([] {
        foreign_attach other;
        void *state = current_tstate();
        for (int round = 0; round < 3; ++round) {
            CAPTURE(round);
            attached outer;
            CHECK(pyattach_attach_depth() == 1);
            {
                detached gap;
                CHECK_FALSE(cpython_says_attached());
                CHECK(pyattach_attach_depth() == 0);
                attached inside;
                CHECK(current_tstate() == state);
                detached inner;
                CHECK_FALSE(cpython_says_attached());
            }
            CHECK(current_tstate() == state);
            attached inner;
            CHECK(pyattach_attach_depth() == 2);
            section here(eval("object"));
        }
        CHECK(pyattach_attach_depth() == 0);
        CHECK(current_tstate() == state);
    });
}

TEST_CASE("a nested scope on a thread that other code attached releases what waits in the pool") {
    start_python();
    run_on_thread([] {
        foreign_attach other;
        for (int round = 0; round < 3; ++round) {
            object *dropped = nullptr;
            REQUIRE(pyattach_eval("object()", nullptr, nullptr, &dropped) == PYATTACH_OK);
            {
                foreign_detach gap;
                pyattach_decref(dropped);
            }
            CHECK(pyattach_pool_size() == 1);
            attached nested;
            CHECK(pyattach_pool_size() == 0);
        }
    });
}

TEST_CASE("a detached scope on a thread that other code attached releases what waits in the pool") {
    start_python();
    run_on_thread([] {
        foreign_attach other;
        for (int round = 0; round < 3; ++round) {
            object *dropped = nullptr;
            REQUIRE(pyattach_eval("object()", nullptr, nullptr, &dropped) == PYATTACH_OK);
            {
                detached gap;
                pyattach_decref(dropped);
                CHECK(pyattach_pool_size() == 1);
            }
            CHECK(pyattach_pool_size() == 0);
        }
    });
}

// Whatever the library remembers of a thread's earlier tstate, another tstate may have its address now.
TEST_CASE("a thread is not attached because another one is, with a tstate at the address of its former one") {
    if (is_debug_build())
        return; // up to 3.11 it lets a thread use only the first tstate that was made on it
    start_python();
    latch has_tstate("the first thread's tstate to be gone"), is_attached_elsewhere("the other thread to be attached"),
        looked("the look to be taken");
    void *former = nullptr;
    bool is_same = false;
    task other("the attached thread to end", [&] {
        has_tstate.wait();
        // With a tstate at that address, if the allocator gives it again.
        std::vector<void *> made;
        attached here;
        void *own = current_tstate(), *main = cpython<void *()>("PyInterpreterState_Main")();
        auto swap_in = cpython<void *(void *)>("PyThreadState_Swap");
        while (!is_same && made.size() < 200) {
            made.push_back(cpython<void *(void *)>("PyThreadState_New")(main));
            is_same = made.back() == former;
        }
        swap_in(made.back());
        is_attached_elsewhere.count_down();
        looked.wait();
        swap_in(own);
        for (void *state : made) {
            swap_in(state);
            cpython<void(void *)>("PyThreadState_Clear")(state);
            cpython<void()>("PyThreadState_DeleteCurrent")();
            cpython<void(void *)>("PyEval_RestoreThread")(own);
        }
    });
    run_on_thread([&] {
        object *object = nullptr;
        {
            foreign_attach here;
            REQUIRE(pyattach_eval("object()", nullptr, nullptr, &object) == PYATTACH_OK);
            former = current_tstate();
            for (int round = 0; round < 2; ++round) {
                attached nested;
                detached gap;
            }
        }
        has_tstate.count_down();
        is_attached_elsewhere.wait();
        CHECK_FALSE(pyattach_is_attached());
        pyattach_detached gap;
        CHECK(pyattach_detached_begin(&gap) == PYATTACH_NOT_ATTACHED);
        pyattach_critical_section here;
        CHECK(pyattach_critical_section_begin(&here, object) == PYATTACH_NOT_ATTACHED);
        CHECK(pyattach_incref(object) == PYATTACH_NOT_ATTACHED);
        const auto queued_before = all_counters().drops_queued;
        pyattach_decref(object);
        CHECK(all_counters().drops_queued == queued_before + 1);
        looked.count_down();
    });
    other.join();
    if (!is_same)
        WARN("the allocator did not give the address again");
}

TEST_CASE("after a switch to a sub-interpreter by other code, scopes are of that one") {
    start_python();
    if (!sees_switches())
        return;
    foreign_attach other;
    pyattach_interpreter *main = pyattach_interpreter_current();
    for (int round = 0; round < 2; ++round) {
        attached nested;
        detached gap;
    }
    sub_interpreter sub;
    object *dropped = nullptr;
    REQUIRE(pyattach_eval("object()", nullptr, nullptr, &dropped) == PYATTACH_OK);
    {
        foreign_detach gap;
        pyattach_decref(dropped);
    }
    sub.inside([&] {
        void *state = current_tstate();
        for (int round = 0; round < 3; ++round) {
            {
                detached gap;
                CHECK_FALSE(cpython_says_attached());
            }
            CHECK(current_tstate() == state);
            attached nested;
            CHECK(pyattach_interpreter_current() != main);
        }
    });
    CHECK(pyattach_pool_size() == 1); // what waits is not released in another interpreter
    attached nested;
    CHECK(pyattach_pool_size() == 0);
    detached gap;
    CHECK_FALSE(cpython_says_attached());
}
