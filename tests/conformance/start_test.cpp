// Group 9, starts: once, twice, repeatedly, and on any thread.
#include "conformance/conformance.hpp"

#include <dlfcn.h>

#include "support/host.hpp"
#include "support/temporary_folder.hpp"

namespace {

latch *site_runs, *thread_came;
task *early_thread;

void use_python() {
    attached here;
    EXPECT(eval_int("6 * 7") == 42);
}

} // namespace

// Called by the child's sitecustomize, to make it slow.
extern "C" __attribute__((visibility("default"))) void conformance_in_site() {
    site_runs->count_down();
    thread_came->wait();
    early_thread->wait_until_asleep();
}

CHILD("attaches while site runs") {
    load_python();
    latch runs("sitecustomize to run"), came("the early thread to come");
    site_runs = &runs;
    thread_came = &came;
    bool was_complete = false;
    task early("the early thread to end", [&] {
        runs.wait();
        came.count_down();
        attached here;
        was_complete = eval_true("getattr(__import__('sys'), 'site_is_complete', False)");
    });
    early_thread = &early;
    start_python();
    early.join();
    EXPECT(was_complete);
}
TEST_CASE("PyO3 test_concurrent_init_site_race") {
    temporary_folder site("sitecustomize.py", "import ctypes, sys\n"
                                              "ctypes.CDLL(None).conformance_in_site()\n"
                                              "sys.site_is_complete = True\n");
    check_succeeds("attaches while site runs", {{}, {{"PYTHONPATH", site.path}}});
}

CHILD("loads the library twice") {
    start_python();
    std::vector<void *> seen;
    for (int i = 0; i < 2; ++i) {
        void *library = dlopen(TESTS_LIBRARY, RTLD_NOW | RTLD_LOCAL);
        EXPECT(library);
        seen.push_back(dlsym(library, "pyattach_attached_begin"));
        attached here;
        run("import ctypes\n"
            "library = ctypes.PyDLL('" TESTS_LIBRARY "')\n"
            "library.pyattach_attach_depth.restype = ctypes.c_int\n"
            "depth = library.pyattach_attach_depth()\n");
        EXPECT(eval_int("depth") == 1); // one state, seen from either
    }
    EXPECT(seen[0] == seen[1]);
    EXPECT(seen[0] == reinterpret_cast<void *>(&pyattach_attached_begin));
    EXPECT(!stop_python());
}
TEST_CASE("PyO3 test_multiple_imports_same_interpreter_ok") {
    if (!TESTS_STATIC) // the copy in the file is another one
        check_succeeds("loads the library twice");
}

CHILD("attaches a native thread right after initialization") {
    start_as_host();
    void *state = cpython<void *()>("PyEval_SaveThread")();
    run_on_thread(use_python);
    cpython<void(void *)>("PyEval_RestoreThread")(state);
    EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
}
TEST_CASE("CPython test_bpo20891") { check_succeeds("attaches a native thread right after initialization"); }

CHILD("initializes twice") {
    start_python();
    use_python();
    pyattach_interpreter *main = pyattach_interpreter_main();
    EXPECT(pyattach_interpreter_start() == PYATTACH_OK);
    EXPECT(!pyattach_is_attached());
    {
        attached here;
        cpython<void()>("Py_Initialize")();
        EXPECT(pyattach_interpreter_start() == PYATTACH_OK);
        EXPECT(pyattach_is_attached()); // left as it was
    }
    EXPECT(pyattach_interpreter_main() == main);
    use_python();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_NOT_INITIALIZED);
}
TEST_CASE("CPython test_initialize_twice") { check_succeeds("initializes twice"); }

CHILD("initializes and finalizes in the background") {
    open_libpython_on_a_thread_that_stays();
    run_on_thread([] {
        start_python();
        use_python();
        run_on_thread(use_python);
        EXPECT(run_on_thread([] { return pyattach_interpreter_stop(); }) == PYATTACH_INVALID);
        EXPECT(!stop_python());
    });
    EXPECT(try_to_attach() == PYATTACH_NOT_INITIALIZED);
}
TEST_CASE("CPython test_init_in_background_thread") { check_succeeds("initializes and finalizes in the background"); }

CHILD("initializes again and again") {
    std::vector<pyattach_interpreter *> lives;
    for (int life = 0; life < 4; ++life) {
        EXPECT(try_to_attach() == (life == 0 ? PYATTACH_NO_PYTHON : PYATTACH_NOT_INITIALIZED));
        start_python();
        use_python();
        run_on_thread(use_python);
        for (pyattach_interpreter *earlier : lives) {
            pyattach_attached scope;
            EXPECT(earlier != pyattach_interpreter_main());
            EXPECT(pyattach_attached_begin_in(&scope, earlier) == PYATTACH_FINALIZING);
        }
        lives.push_back(pyattach_interpreter_main());
        EXPECT(!stop_python());
    }
}
TEST_CASE("CPython test_repeated_simple_init") { check_succeeds("initializes again and again"); }

CHILD("cycles with three sub-interpreters each") {
    for (int cycle = 0; cycle < 3; ++cycle) {
        start_python();
        {
            attached here;
            void *tstate = current_tstate();
            pyattach_interpreter *main = pyattach_interpreter_current();
            for (int i = 0; i < 3; ++i) {
                current_sub_interpreter sub;
                EXPECT(current_tstate() == sub.state());
                if (python_version() >= python_3_12) {
                    EXPECT(gilstate_tstate() == sub.state());
                    EXPECT(pyattach_interpreter_current() != main);
                    EXPECT(try_to_attach() == PYATTACH_OK);
                }
                EXPECT(pyattach_attach_depth() == 1);
                sub.end();
                EXPECT(current_tstate() == tstate);
                EXPECT(gilstate_tstate() == tstate);
                EXPECT(pyattach_interpreter_current() == main);
                EXPECT(pyattach_attach_depth() == 1);
            }
        }
        EXPECT(!stop_python());
    }
}
TEST_CASE("CPython test_repeated_init_and_subinterpreters") {
    check_succeeds("cycles with three sub-interpreters each");
}

CHILD("attaches a native thread after finalization") {
    start_python();
    latch used("the thread to have used Python"), ended("Python to have ended");
    task warm("the thread with a warm state to end", [&] {
        use_python();
        used.count_down();
        ended.wait();
        EXPECT(try_to_attach() == PYATTACH_NOT_INITIALIZED);
    });
    used.wait();
    EXPECT(!stop_python());
    EXPECT(run_on_thread(try_to_attach) == PYATTACH_NOT_INITIALIZED);
    EXPECT(try_to_attach() == PYATTACH_NOT_INITIALIZED);
    ended.count_down();
    warm.join();
}
TEST_CASE("CPython test_gilstate_after_finalization") { check_succeeds("attaches a native thread after finalization"); }

CHILD("goes on with a thread of an earlier life") {
    start_python();
    latch lived("the first life to be over"), restarted("the second life to begin");
    task thread("the thread that lives twice to end", [&] {
        use_python();
        auto first = all_counters();
        lived.count_down();
        restarted.wait();
        use_python();
        auto second = all_counters();
        EXPECT(second.states_created == first.states_created + 1); // not used
        if (keeps_tstates())
            EXPECT(second.states_deleted == first.states_deleted); // not freed
    });
    lived.wait();
    pyattach_interpreter *first = pyattach_interpreter_main();
    EXPECT(!stop_python());
    start_python();
    EXPECT(pyattach_interpreter_main() != first);
    restarted.count_down();
    thread.join();
    EXPECT(!stop_python());
}
TEST_CASE("ext: stale warm state after restart") { check_succeeds("goes on with a thread of an earlier life"); }
