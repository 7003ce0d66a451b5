// Stopping Python, and what is left after it; starting it again.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "support/host.hpp"

using namespace support;

namespace {

void expect_stopped(pyattach_interpreter *ended) {
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_NOT_INITIALIZED);
    EXPECT(pyattach_attached_begin_in(&scope, ended) == PYATTACH_FINALIZING);
    EXPECT(pyattach_is_attached() == 0);
    EXPECT(pyattach_attach_depth() == 0);
    EXPECT(pyattach_interpreter_main() == nullptr);
    EXPECT(pyattach_interpreter_current() == nullptr);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_NOT_INITIALIZED);
    EXPECT(pyattach_pool_size() == 0);
    auto nothing = [](pyattach_interpreter *, void *) {};
    EXPECT(pyattach_exit_callback_add(ended, nothing, nullptr) == PYATTACH_FINALIZING);
    EXPECT(pyattach_exit_callback_remove(ended, nothing, nullptr) == PYATTACH_INVALID);
}

} // namespace

CHILD("stopped after use") {
    start_python();
    pyattach_interpreter *main = pyattach_interpreter_main();
    run_on_thread([] {
        attached here;
        run("import atexit; atexit.register(lambda: print('the atexit callback ran', flush=True))");
    });
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    expect_stopped(main);
    run_on_thread([&] { expect_stopped(main); });
}
TEST_CASE("after a stop everything is refused, on every thread") {
    child_result result = run_child("stopped after use");
    check_succeeds(result);
    CHECK(result.output == "the atexit callback ran\n");
}

CHILD("stopped inside attached scopes") {
    start_python();
    pyattach_attached outer, inner;
    EXPECT(pyattach_attached_begin(&outer) == PYATTACH_OK);
    EXPECT(pyattach_attached_begin(&inner) == PYATTACH_OK);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(pyattach_attach_depth() == 0);
    EXPECT(pyattach_is_attached() == 0);
    pyattach_attached_end(&inner);
    pyattach_attached_end(&outer);
    EXPECT(pyattach_attach_depth() == 0);
}
TEST_CASE("a stop inside attached scopes makes them inert: ending them does nothing") {
    check_succeeds("stopped inside attached scopes");
}

CHILD("scopes of an ended life around those of the next") {
    start_python();
    pyattach_attached outer, inner, again, nested;
    EXPECT(pyattach_attached_begin(&outer) == PYATTACH_OK);
    EXPECT(pyattach_attached_begin(&inner) == PYATTACH_OK);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(pyattach_interpreter_start() == PYATTACH_OK);
    EXPECT(pyattach_attached_begin(&again) == PYATTACH_OK);
    EXPECT(pyattach_attached_begin(&nested) == PYATTACH_OK);
    EXPECT(pyattach_attach_depth() == 2);
    pyattach_attached_end(&inner); // inert, and not the innermost
    EXPECT(pyattach_attach_depth() == 2);
    pyattach_attached_end(&nested);
    EXPECT(pyattach_attach_depth() == 1);
    pyattach_attached_end(&again);
    pyattach_attached_end(&outer);
    EXPECT(pyattach_attach_depth() == 0);
    EXPECT(pyattach_thread_release() == PYATTACH_OK); // nothing is open
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
}
TEST_CASE("scopes of an ended generation end in any order, and those of the next are counted right") {
    check_succeeds("scopes of an ended life around those of the next");
}

CHILD("finalized by the host inside attached scopes") {
    start_python();
    pyattach_interpreter *main = pyattach_interpreter_main();
    pyattach_attached outer, inner;
    EXPECT(pyattach_attached_begin(&outer) == PYATTACH_OK);
    EXPECT(pyattach_attached_begin(&inner) == PYATTACH_OK);
    EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    expect_stopped(main);
    pyattach_attached_end(&inner);
    pyattach_attached_end(&outer);
    expect_stopped(main);
}
TEST_CASE("Py_FinalizeEx called by the host inside attached scopes does not wait for itself") {
    check_succeeds("finalized by the host inside attached scopes");
}

CHILD("finalized by the host on a warm thread") {
    start_python();
    // Up to 3.12 `threading` waits for the main thread for ever then; free-threaded, CPython crashes, and a debug build
    // asserts that the thread is the main one.
    if (is_free_threaded() || is_debug_build() || python_version() < 0x030d0000)
        return;
    static std::string told;
    run_on_thread([] {
        { attached warm; }
        attached here;
        publish("let_others_run", native_function([] {
                    detached gap;
                    told += std::to_string(run_on_thread([] {
                        pyattach_attached scope;
                        return pyattach_attached_begin(&scope);
                    }));
                    told += std::to_string(gap.end());
                    told += std::to_string(pyattach_attach_depth());
                }));
        ref last = object_with_finalizer("let_others_run()");
        run_on_thread([&] { last.drop(); }); // waits for the drain of the end, when the gate is closed
        EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
        EXPECT_SENTENCE(told == std::to_string(PYATTACH_FINALIZING) + "01", told);
        end_child();
    });
}
TEST_CASE("a destructor that the last drain runs may detach, in a scope of the thread that ends Python") {
    check_succeeds("finalized by the host on a warm thread");
}

CHILD("stopped with a flush that fails") {
    start_python();
    {
        attached here;
        run("import sys\nclass Broken:\n    def write(self, text): return 0\n"
            "    def flush(self): raise OSError('no space')\n    closed = False\nsys.stdout = Broken()");
    }
    EXPECT(pyattach_interpreter_stop() == PYATTACH_PYTHON_ERROR);
    EXPECT(pyattach_interpreter_main() == nullptr);
}
TEST_CASE("a stop at which flushing fails says so") { check_succeeds("stopped with a flush that fails"); }

CHILD("stopped with a pending exception") {
    start_python();
    attached here;
    auto **kind = static_cast<object **>(cpython_symbol("PyExc_ValueError"));
    cpython<void(object *, const char *)>("PyErr_SetString")(*kind, "left");
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
}
TEST_CASE("a stop with an exception pending ends Python all the same") {
    check_succeeds("stopped with a pending exception");
}

CHILD("references dropped before the end") {
    start_python();
    ref object;
    {
        attached here;
        object = object_with_finalizer("print('released', flush=True)");
    }
    object.drop();
    EXPECT(pyattach_pool_size() == 1);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
}
TEST_CASE("queued references are released when the interpreter ends") {
    child_result result = run_child("references dropped before the end");
    check_succeeds(result);
    CHECK(result.output == "released\n");
}

CHILD("started again after a life that left references") {
    pyattach_interpreter *ended = nullptr;
    ref leftover;
    for (int cycle = 0; cycle < 3; ++cycle) {
        start_python();
        if (ended)
            pyattach_decref_in(ended, leftover.release());
        EXPECT(pyattach_pool_size() == 0);
        pyattach_interpreter *interp = pyattach_interpreter_main();
        run_on_thread([&] {
            attached here(interp);
            EXPECT(pyattach_interpreter_current() == interp);
            EXPECT(eval_true("not hasattr(__import__('sys'), 'earlier_life')"));
            run("import sys; sys.earlier_life = True");
            leftover = new_object();
            may_leak(leftover);
        });
        EXPECT(!stop_python());
        ended = interp;
    }
}
TEST_CASE("what a generation of Python left is neither seen, released nor counted in the next one") {
    check_succeeds("started again after a life that left references");
}

CHILD("a native thread that outlives a life of the interpreter") {
    barrier turn("both threads to take their turn", 2);
    task thread("the native thread to end", [&] {
        for (int cycle = 0; cycle < 2; ++cycle) {
            turn.arrive_and_wait(); // Python runs
            {
                attached here;
                EXPECT(eval_int("3") == 3);
            }
            turn.arrive_and_wait();
            turn.arrive_and_wait(); // Python ended
            pyattach_attached scope;
            EXPECT(pyattach_attached_begin(&scope) == PYATTACH_NOT_INITIALIZED);
            turn.arrive_and_wait();
        }
    });
    for (int cycle = 0; cycle < 2; ++cycle) {
        start_python();
        turn.arrive_and_wait();
        turn.arrive_and_wait();
        EXPECT(!stop_python());
        turn.arrive_and_wait();
        turn.arrive_and_wait();
    }
    thread.join();
}
TEST_CASE("a native thread that outlives a generation of the interpreter attaches to the next one") {
    check_succeeds("a native thread that outlives a life of the interpreter");
}

CHILD("stopped by the thread on which another library started it") {
    start_as_host();
    cpython<void *()>("PyEval_SaveThread")();
    run_on_thread([] {
        attached here;
        EXPECT(eval_int("1") == 1);
        EXPECT(pyattach_interpreter_stop() == PYATTACH_INVALID);
    });
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
}
TEST_CASE("a Python that the host started itself is stopped on its main thread") {
    check_succeeds("stopped by the thread on which another library started it");
}
