// fork() without Python's own preparations, and what CPython cannot fork.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"

#include <thread>

#include "support/fork.hpp"
#include "support/plain_python.hpp"
#include "support/host.hpp"

using namespace support;

CHILD("a plain fork") {
    start_python();
    use_python();
    pyattach_interpreter *main = pyattach_interpreter_main();
    bystanders others(4);
    ref reference;
    {
        attached here;
        reference = new_object();
        may_leak(reference); // dropped when Python has ended
    }
    auto expect_refused = [&] {
        pyattach_attached scope;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_UNSUPPORTED);
        EXPECT(pyattach_attached_begin_in(&scope, main) == PYATTACH_UNSUPPORTED);
        EXPECT(pyattach_is_attached() == 0);
    };
    fork_plainly([&] { // detached
        expect_refused();
        EXPECT(pyattach_thread_release() == PYATTACH_UNSUPPORTED);
        size_t waiting = pyattach_pool_size();
        reference.drop();
        EXPECT(pyattach_pool_size() == waiting + 1);
        run_on_thread(expect_refused);
    });
    fork_plainly([] {
        execl("/bin/true", "true", nullptr);
        std::_Exit(127);
    });
    {
        attached here;
        detached detached_frame;
        fork_plainly([&] { // in a gap
            expect_refused();
            EXPECT(detached_frame.end() == PYATTACH_UNSUPPORTED);
            EXPECT(pyattach_is_attached() == 0);
            here.end();
            expect_refused();
        });
    }
    {
        attached here;
        fork_plainly([&] { // attached
            here.end();
            expect_refused();
        });
        fork_plainly([&] { // attached, and nothing detaches in the child
            pyattach_detached detached_frame;
            EXPECT(pyattach_detached_begin(&detached_frame) == PYATTACH_UNSUPPORTED);
            here.end();
            expect_refused();
        });
    }
    run_on_thread([&] {
        use_python();
        use_python();
        attached warm;
        fork_plainly([&] { // the same on a thread that came in by the short way
            pyattach_detached detached_frame;
            EXPECT(pyattach_detached_begin(&detached_frame) == PYATTACH_UNSUPPORTED);
            warm.end();
            expect_refused();
        });
    });
    others.let_go();
    EXPECT(!stop_python());
}
TEST_CASE("after a plain fork() attaching is refused, and nothing blocks") { check_succeeds("a plain fork"); }

CHILD("a plain fork put in order") {
    start_python();
    bystanders others(4);
    {
        attached here;
        cpython<void()>("PyOS_BeforeFork")();
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            pyattach_attached scope;
            int refused = -1;
            std::thread([&] { refused = pyattach_attached_begin(&scope); }).join();
            cpython<void()>("PyOS_AfterFork_Child")();
            bool is_fine = refused == PYATTACH_UNSUPPORTED && eval_int("1") == 1;
            here.end();
            run_on_thread(use_python);
            use_python();
            std::_Exit(is_fine ? 0 : 9);
        }
        cpython<void()>("PyOS_AfterFork_Parent")();
        detached detached_frame;
        int status = 0;
        EXPECT(waitpid(child, &status, 0) == child);
        EXPECT(status == 0);
    }
    others.let_go();
    EXPECT(!stop_python());
}
TEST_CASE("a program that forks by itself and calls Python's own functions around it is served again") {
    check_succeeds("a plain fork put in order");
}

// What CPython does without the library.
CHILD("plainly: a child of a process with sub-interpreters") {
    start_as_host();
    sub_interpreter sub(has_own_gils() ? sub_interpreter::own_gil : sub_interpreter::legacy), other;
    auto *run_string = cpython<int(const char *, void *)>("PyRun_SimpleStringFlags");
    EXPECT(run_string("import os, select, signal, warnings\n"
                      "warnings.simplefilter('ignore')\n"
                      "signal.signal(signal.SIGALRM, signal.SIG_DFL)\n"
                      "ended, alive = os.pipe()\n" // see fork_new_tstate_test.cpp
                      "child = os.fork()\n"
                      "if child == 0: os._exit(0)\n"
                      "os.close(alive)\n"
                      "has_ended = select.select([ended], [], [], 5)[0]\n"
                      "if not has_ended: os.kill(child, 9)\n"
                      "status = os.waitpid(child, 0)[1]\n"
                      "os._exit(0 if status == 0 else 43 if has_ended else 42)\n",
                      nullptr) == 0);
}

TEST_CASE("CPython cannot fork while there are sub-interpreters") {
    // 3.9 to 3.15 do not survive it: they take a lock of theirs twice, miss a thread state, or read freed memory. When
    // one does, this fails, and the library has to be looked at.
    CHECK(run_child("plainly: a child of a process with sub-interpreters").exit_code != 0);
}

// What CPython does without the library.
CHILD("plainly: a native thread's child that takes a second state") {
    start_as_host();
    const plain::plain_python &py = plain::python();
    void *tstate = py.save();
    run_on_thread([&] {
        int held = py.ensure();
        EXPECT(py.run("import os, warnings\n"
                      "warnings.simplefilter('ignore')\n"
                      "child = os.fork()\n"
                      "status = os.waitpid(child, 0)[1] if child else 0\n",
                      nullptr) == 0);
        bool is_parent = py.run("import sys; sys.stderr = None\nassert child", nullptr) == 0;
        if (!is_parent) {
            py.release(held); // deletes the only thread state that this process has
            held = py.ensure();
            std::_Exit(0);
        }
        EXPECT(py.run("os._exit(42 if status else 0)", nullptr) == 0);
        py.release(held);
    });
    py.restore(tstate);
}

TEST_CASE("a debug build of CPython up to 3.11 asserts that an interpreter's first state is made once") {
    load_python();
    // For this reason fork_storm_test leaves debug builds out.
    if (is_debug_build() && python_version() < 0x030c0000)
        CHECK(run_child("plainly: a native thread's child that takes a second state").exit_code == 42);
}
