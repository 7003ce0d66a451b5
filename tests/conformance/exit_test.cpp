// Group 9, callbacks and late finalizers.
#include "conformance/conformance.hpp"

#include <cstdlib>

#include "support/last_call.hpp"
#include "support/plain_python.hpp"

namespace {

child_result python(const std::string &script) {
    return run_python("import ctypes, sys, threading\n"
                      "library = ctypes.PyDLL('" TESTS_LIBRARY "')\n"
                      "def scopes():\n"
                      "    scope = ctypes.create_string_buffer(64)\n"
                      "    status = library.pyattach_attached_begin(scope)\n"
                      "    if status == 0: library.pyattach_attached_end(scope)\n"
                      "    return status\n"
                      "assert scopes() == 0\n" +
                      script);
}

std::string order;
void append(pyattach_interpreter *, void *text) { order += static_cast<const char *>(text); }
void *text(const char *constant) { return const_cast<char *>(constant); }

} // namespace

TEST_CASE("CPython test_finalize_running_thread") {
    child_result result = python("class Late:\n"
                                 "    def __del__(self, scopes=scopes): scopes()\n"
                                 "def body():\n"
                                 "    late = Late()\n"
                                 "    ready.release()\n"
                                 "    never.acquire(); never.acquire()\n"
                                 "ready, never = threading.Lock(), threading.Lock()\n"
                                 "ready.acquire()\n"
                                 "threading.Thread(target=body, daemon=True).start()\n"
                                 "ready.acquire()\n"
                                 "sys.late = Late()\n"
                                 "sys.exit(42)\n");
    INFO(result.describe());
    CHECK(result.exit_code == 42);
    CHECK(result.output == "");
}

CHILD("starts work from a late finalizer") {
    start_python();
    static pyattach_status thread = PYATTACH_OK, callback = PYATTACH_OK;
    static pyattach_interpreter *main;
    main = pyattach_interpreter_main();
    {
        attached here;
        call_at_the_very_end([] {
            thread = run_on_thread(try_to_attach);
            callback = pyattach_exit_callback_add(main, append, text("late"));
        });
    }
    EXPECT(!stop_python());
    EXPECT(thread == PYATTACH_FINALIZING || thread == PYATTACH_NOT_INITIALIZED);
    EXPECT(callback == PYATTACH_FINALIZING);
    EXPECT(order == "");
    EXPECT(std::string(pyattach_status_message(callback)).size() > 10);
}
TEST_CASE("CPython test_start_new_thread_at_finalization") { check_succeeds("starts work from a late finalizer"); }

CHILD("exit callbacks that write, once") {
    start_python();
    pyattach_interpreter *main = pyattach_interpreter_main();
    auto write = [](pyattach_interpreter *interp, void *) {
        attached here(interp); // the finalizing thread may
        run("import sys\nsys.stdout.write('from the callback\\n'); sys.stdout.flush()");
    };
    EXPECT(pyattach_exit_callback_add(main, write, nullptr) == PYATTACH_OK);
    EXPECT(!stop_python());
}
TEST_CASE("CPython test_atexit_output") {
    child_result result = run_child("exit callbacks that write, once");
    check_succeeds(result);
    CHECK(result.output == "from the callback\n");
}

CHILD("exit callbacks in two lives") {
    for (int life = 1; life <= 2; ++life) {
        start_python();
        EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), append, text("a")) == PYATTACH_OK);
        EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), append, text("b")) == PYATTACH_OK);
        EXPECT(!stop_python());
        EXPECT(order == std::string("baba", static_cast<size_t>(2 * life)));
    }
}
TEST_CASE("CPython test_atexit_called_once") { check_succeeds("exit callbacks in two lives"); }

CHILD("registers after the shutdown") {
    start_python();
    pyattach_interpreter *main = pyattach_interpreter_main();
    static pyattach_status during = PYATTACH_OK;
    auto again = [](pyattach_interpreter *interp, void *) {
        during = pyattach_exit_callback_add(interp, append, text("never"));
    };
    EXPECT(pyattach_exit_callback_add(main, again, nullptr) == PYATTACH_OK);
    EXPECT(!stop_python());
    EXPECT(during == PYATTACH_FINALIZING);
    EXPECT(pyattach_exit_callback_add(main, append, text("never")) == PYATTACH_FINALIZING);
    EXPECT(order == "");
}
TEST_CASE("CPython test_atexit_after_shutdown") { check_succeeds("registers after the shutdown"); }

CHILD("atexit callbacks on either side of ours") {
    load_python();
    plain::start(); // so that registration happens at the call below
    auto *run_string = cpython<int(const char *, void *)>("PyRun_SimpleStringFlags");
    EXPECT(run_string("import atexit\n"
                      "class Early:\n    def __call__(self): self.look()\n"
                      "early = Early(); atexit.register(early)\n",
                      nullptr) == 0);
    static std::vector<pyattach_status> statuses, others;
    {
        attached contact;
        publish("look", native_function([] {
                    statuses.push_back(try_to_attach());
                    detached gap;
                    others.push_back(run_on_thread(try_to_attach));
                }));
        run("early.look = look; atexit.register(look)");
    }
    EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    // atexit calls the last registered first; the library's hook runs between the two.
    EXPECT((statuses == std::vector<pyattach_status>{PYATTACH_OK, PYATTACH_OK}));
    // Up to 3.13 the hook runs the older callbacks itself, before it closes the gate.
    const pyattach_status in_older = python_version() < 0x030e0000 ? PYATTACH_OK : PYATTACH_FINALIZING;
    EXPECT((others == std::vector<pyattach_status>{PYATTACH_OK, in_older}));
}
TEST_CASE("ext: atexit order") { check_succeeds("atexit callbacks on either side of ours"); }
