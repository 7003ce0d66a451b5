// Group 10: interpreters and guards. What needs the library to see a foreign switch of interpreters is asked from 3.12
// on; before, the limit is documented at pyattach_is_attached.
#include "conformance/conformance.hpp"

#include <functional>

namespace {

bool sees_switches() { return python_version() >= python_3_12; }

// A sub-interpreter, its handle, and this thread back in the main one.
struct named_interpreter {
    current_sub_interpreter sub;
    pyattach_interpreter *handle = pyattach_interpreter_current();
    named_interpreter() { sub.to_main(); }
    void end() {
        sub.back();
        sub.end();
    }
};

} // namespace

TEST_CASE("PyO3 test_import_in_subinterpreter_forbidden") {
    start_python();
    attached here;
    pyattach_interpreter *main = pyattach_interpreter_current();
    for (int i = 0; i < 2; ++i) {
        current_sub_interpreter sub;
        if (!sees_switches())
            continue;
        CHECK(pyattach_is_attached());
        CHECK(try_to_attach() == PYATTACH_OK);
        CHECK(pyattach_interpreter_current() != main);
        CHECK(eval_int("6 * 7") == 42);
        detached gap;
        CHECK_FALSE(cpython_says_attached());
    }
    CHECK(pyattach_interpreter_current() == main);
}

TEST_CASE("CPython test_interp_guard_countdown") {
    start_python();
    attached here;
    if (!sees_switches())
        return;
    named_interpreter it;
    // PEP 788 guards where CPython has them; everywhere threads inside the gate, the library's counterpart.
    auto *take = reinterpret_cast<void *(*)()>(cpython_symbol("PyInterpreterGuard_FromCurrent", false));
    std::vector<void *> guards;
    if (take) {
        it.sub.back();
        for (int i = 0; i < 100; ++i) {
            guards.push_back(take());
            REQUIRE(guards.back());
        }
        it.sub.to_main();
    }
    latch inside("100 threads to be inside", 100), may_leave("permission to leave");
    std::atomic<int> in_it{0};
    std::vector<std::unique_ptr<task>> tasks;
    detached gap;
    for (int i = 0; i < 100; ++i)
        tasks.push_back(std::make_unique<task>("a thread inside to end", [&] {
            attached there(it.handle);
            in_it += pyattach_interpreter_current() == it.handle;
            detached inner;
            inside.count_down();
            may_leave.wait();
        }));
    inside.wait();
    CHECK(in_it == 100);
    may_leave.count_down();
    for (auto &thread : tasks)
        thread->join();
    REQUIRE(gap.end() == PYATTACH_OK);
    for (void *guard : guards)
        cpython<void(void *)>("PyInterpreterGuard_Close")(guard);
    it.end(); // waits for guards: one too many would hang
    CHECK(try_to_attach_in(it.handle) == PYATTACH_FINALIZING);
}

TEST_CASE("CPython test_interp_view_countdown") {
    start_python();
    attached here;
    if (!sees_switches())
        return;
    named_interpreter it;
    auto *from_view = reinterpret_cast<void *(*)(void *)>(cpython_symbol("PyInterpreterGuard_FromView", false));
    void *view = nullptr;
    if (from_view) {
        it.sub.back();
        view = cpython<void *()>("PyInterpreterView_FromCurrent")();
        REQUIRE(view);
        it.sub.to_main();
    }
    auto *interpreter_of =
        reinterpret_cast<void *(*)(void *)>(cpython_symbol("_PyInterpreterGuard_GetInterpreter", false));
    auto *current = cpython<void *(void *)>("PyThreadState_GetInterpreter");
    void *its_state = nullptr;
    for (int i = 0; i < 100; ++i) {
        void *guard = view ? from_view(view) : nullptr;
        {
            attached there(it.handle);
            CHECK(pyattach_interpreter_current() == it.handle);
            void *tstate = current(current_tstate());
            CHECK((!its_state || its_state == tstate));
            CHECK((!guard || !interpreter_of || interpreter_of(guard) == tstate));
            its_state = tstate;
        }
        if (guard)
            cpython<void(void *)>("PyInterpreterGuard_Close")(guard);
    }
    if (view)
        cpython<void(void *)>("PyInterpreterView_Close")(view);
    it.end();
    CHECK(pyattach_is_attached());
}

TEST_CASE("CPython test_thread_state_ensure_from_view_interp_switch") {
    start_python();
    attached here;
    if (!sees_switches())
        return;
    void *tstate = current_tstate();
    pyattach_interpreter *main = pyattach_interpreter_current();
    named_interpreter it;
    for (int i = 0; i < 2; ++i) {
        {
            attached there(it.handle);
            CHECK(pyattach_interpreter_current() == it.handle);
        }
        CHECK(current_tstate() == tstate);
        CHECK(pyattach_interpreter_current() == main);
        detached gap;
        {
            attached there(it.handle);
            CHECK(pyattach_interpreter_current() == it.handle);
        }
        CHECK_FALSE(cpython_says_attached());
    }
    CHECK(current_tstate() == tstate);
    CHECK(try_to_attach_in(it.handle) == PYATTACH_OK); // can still be had
    it.end();
}

TEST_CASE("CPython test_daemon_threads_fatal_error") {
    start_python();
    attached here;
    if (!sees_switches())
        return;
    for (int round = 0; round < 3; ++round) {
        named_interpreter it;
        latch used("the native thread to have used it"), over("it to be over");
        task native("the native thread to end", [&] {
            for (int i = 0; i < 3; ++i)
                attached there(it.handle); // what is kept of it must not matter
            used.count_down();
            over.wait();
            CHECK(try_to_attach_in(it.handle) == PYATTACH_FINALIZING);
        });
        {
            detached gap;
            used.wait();
        }
        it.end(); // "not the last thread" would abort here
        detached gap;
        over.count_down();
        native.join();
    }
    CHECK(eval_int("1") == 1);
}

TEST_CASE("ext: attach to a named interpreter from a thread attached to another") {
    start_python();
    attached here;
    if (!sees_switches())
        return;
    pyattach_interpreter *main = pyattach_interpreter_current();
    void *state_of_main = current_tstate();
    run("marker = 'main'");
    current_sub_interpreter sub;
    pyattach_interpreter *other = pyattach_interpreter_current();
    run("marker = 'sub'");
    {
        attached in_main(main);
        CHECK(pyattach_interpreter_current() == main);
        CHECK(eval_text("marker") == "main");
        CHECK(current_tstate() == state_of_main); // not a second one
        {
            attached back(other);
            CHECK(eval_text("marker") == "sub");
        }
        CHECK(eval_text("marker") == "main");
    }
    CHECK(current_tstate() == sub.state());
    CHECK(eval_text("marker") == "sub");
}

TEST_CASE("ext: attach to an interpreter that ended, or to a new one with the same id") {
    start_python();
    attached here;
    if (!sees_switches())
        return;
    std::vector<pyattach_interpreter *> handles;
    for (int i = 0; i < 4; ++i) {
        named_interpreter it; // CPython reuses addresses; a handle is never another's
        for (pyattach_interpreter *earlier : handles) {
            CHECK(earlier != it.handle);
            CHECK(try_to_attach_in(earlier) == PYATTACH_FINALIZING);
        }
        CHECK(try_to_attach_in(it.handle) == PYATTACH_OK);
        handles.push_back(it.handle);
        it.end();
        CHECK(try_to_attach_in(it.handle) == PYATTACH_FINALIZING);
    }
}

TEST_CASE("ext: refused guard") {
    start_python();
    attached here;
    if (!sees_switches())
        return;
    named_interpreter it;
    static pyattach_status late;
    late = PYATTACH_OK;
    auto attach_late = [](pyattach_interpreter *interp, void *) {
        late = run_on_thread([interp] { return try_to_attach_in(interp); });
    };
    REQUIRE(pyattach_exit_callback_add(it.handle, attach_late, nullptr) == PYATTACH_OK);
    it.end();
    CHECK(late == PYATTACH_FINALIZING);
}
