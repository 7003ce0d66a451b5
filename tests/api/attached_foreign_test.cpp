// Attached scopes beside code that attaches, detaches and switches thread states without telling the library.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

using namespace support;

// conformance.md, group 1: foreign detach
TEST_CASE("inside a foreign detach within an attached scope, an attach attaches for real") {
    start_python();
    run_on_thread([] {
        attached here;
        ref object = new_object(), kept = ref(object.get());
        REQUIRE(pyattach_incref(object) == PYATTACH_OK);
        {
            foreign_detach gap;
            CHECK_FALSE(pyattach_is_attached());
            CHECK(pyattach_incref(object) == PYATTACH_NOT_ATTACHED);
            size_t waiting = pyattach_pool_size();
            object.drop();
            CHECK(pyattach_pool_size() == waiting + 1);
            {
                attached again;
                CHECK(pyattach_is_attached());
                CHECK(cpython_says_attached());
                CHECK(eval_int("4") == 4);
                CHECK(pyattach_pool_size() == 0);
            }
            CHECK_FALSE(pyattach_is_attached());
            CHECK_FALSE(cpython_says_attached());
        }
        CHECK(pyattach_is_attached());
        CHECK(reference_count(kept) == 1);
    });
}

// conformance.md, group 1: foreign attach
TEST_CASE("on a thread that other code attached, an attach is nested and a decref immediate") {
    start_python();
    run_on_thread([] {
        foreign_attach other;
        CHECK(pyattach_is_attached());
        CHECK(pyattach_attach_depth() == 0);
        void *state = current_state();
        ref object = new_object();
        REQUIRE(pyattach_incref(object) == PYATTACH_OK);
        pyattach_decref(object);
        CHECK(reference_count(object) == 1);
        {
            attached here;
            CHECK(current_state() == state);
            CHECK(pyattach_attach_depth() == 1);
        }
        CHECK(current_state() == state);
        CHECK(pyattach_is_attached());
    });
}

// nanobind #1418
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

// nanobind #1418, the reproducer
TEST_CASE("with a GIL an attach waits until the thread that is attached lets go") {
    start_python();
    load_python();
    if (is_free_threaded())
        return; // nobody waits there
    latch attached_elsewhere("the other thread to attach"), may_leave("leave to detach");
    std::atomic<bool> gone{false};
    task holder("the attached thread to end", [&] {
        attached here;
        attached_elsewhere.count_down();
        may_leave.wait();
        gone = true;
    });
    attached_elsewhere.wait();
    bool was_gone = false;
    task waiter("the waiting thread to end", [&] {
        attached here;
        was_gone = gone;
    });
    waiter.wait_until_asleep();
    CHECK_FALSE(waiter.has_returned());
    may_leave.count_down();
    holder.join();
    waiter.join();
    CHECK(was_gone);
}

TEST_CASE("PyGILState pairs between and inside attached scopes use the library's tstate and keep it") {
    start_python();
    run_on_thread([] {
        {
            foreign_attach before;
            CHECK(cpython_says_attached());
        }
        attached here;
        void *state = current_state();
        {
            foreign_attach inside;
            CHECK(current_state() == state);
        }
        CHECK(current_state() == state);
        {
            detached gap;
            foreign_attach in_gap;
            CHECK(current_state() == state);
            attached nested;
            CHECK(pyattach_attach_depth() == 1);
        }
        CHECK(current_state() == state);
        CHECK(eval_int("5") == 5);
    });
}

TEST_CASE("a thread that other code switched to a sub-interpreter attaches there, nested") {
    start_python();
    attached here;
    void *main_state = current_state();
    pyattach_interpreter *main = pyattach_interpreter_main();
    void *sub = cpython<void *()>("Py_NewInterpreter")();
    REQUIRE(sub);
    {
        // Up to 3.11 such a state is unknown to the library: documented at pyattach_is_attached.
        if (python_version() >= 0x030c0000) {
            CHECK(pyattach_is_attached());
            attached nested;
            CHECK(current_state() == sub);
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
    void *main_state = current_state();
    pyattach_interpreter *main = pyattach_interpreter_main();
    REQUIRE(main);
    void *sub = cpython<void *()>("Py_NewInterpreter")();
    REQUIRE(sub);
    if (python_version() >= 0x030c0000) {
        {
            attached in_main(main);
            CHECK(pyattach_interpreter_current() == main);
            CHECK(current_state() != sub);
            CHECK(eval_true("__import__('threading').current_thread() is not None"));
            CHECK(pyattach_is_attached());
        }
        CHECK(current_state() == sub);
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
