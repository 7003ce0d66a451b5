// Attached scopes beside code that attaches, detaches and switches thread states without telling the library.
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

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
