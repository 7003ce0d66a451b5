// Failures at the end of an interpreter, and after it.
#include "conformance/failure.hpp"

// --- 1: a native thread attaches while or after the interpreter finalizes -------------------------------------------

CHILD("1 plain") {
    auto &py = start_plain();
    EXPECT(py.finalize() == 0);
    must_end_soon();
    run_on_thread([&] { py.release(py.ensure()); });
}
CHILD("1 with us") {
    start_python();
    EXPECT(!stop_python());
    EXPECT(run_on_thread(try_to_attach) == PYATTACH_NOT_INITIALIZED);
}
TEST_CASE("failure 1: a native thread attaches after the end") {
    about python;
    check_plain("1 plain", python.version < python_3_15 ? outcome::crashed : outcome::hung);
    check_succeeds("1 with us");
}

// --- 2: re-attach in a destructor ends the process, or hangs for ever -----------------------------------------------

namespace {

latch inside("the thread to be inside"), ended("the interpreter to end");

struct plain_gap {
    void *state = plain::python().save();
    ~plain_gap() { plain::python().restore(state); }
};

} // namespace

CHILD("2 plain") {
    auto &py = start_plain();
    task thread("the thread with the destructor to end", [&] {
        plain_attach here;
        plain_gap gap;
        inside.count_down();
        ended.wait();
    });
    void *state = py.save();
    inside.wait();
    py.restore(state);
    EXPECT(py.finalize() == 0);
    must_end_soon();
    ended.count_down();
    thread.join();
}
CHILD("2 with us") {
    start_python();
    pyattach_set_exit_timeout(1000000);
    task told("the thread that is told to end", [] {
        pyattach::attached here;
        pyattach::detached gap{here.token()};
        inside.count_down();
        ended.wait();
        EXPECT(gap.resume() == PYATTACH_FINALIZING);
    });
    inside.wait();
    EXPECT(!stop_python());
    ended.count_down();
    told.join();
}
TEST_CASE("failure 2: re-attach in a destructor") {
    about python;
    // 3.13.8 parks the thread where earlier ones unwind it, through a destructor that may not throw.
    check_plain("2 plain", python.version < 0x030d08f0 ? outcome::crashed : outcome::hung);
    check_succeeds("2 with us");
}

// --- 3: decref from a thread that is not attached -------------------------------------------------------------------

CHILD("3 plain") {
    auto &py = start_plain();
    EXPECT(py.run("class Mortal:\n    def __del__(self): len('destructor')\n", nullptr) == 0);
    object *captured = plain_eval("Mortal()");
    void *state = py.save();
    must_end_soon();
    run_on_thread([&] { py.decref(captured); });
    py.restore(state);
    EXPECT(py.finalize() == 0);
}
CHILD("3 with us") {
    start_python();
    ref captured;
    {
        attached here;
        run("died = []");
        captured = object_with_finalizer("died.append(1)");
    }
    run_on_thread([&] { captured.drop(); });
    attached here;
    EXPECT(eval_int("len(died)") == 1);
    here.end();
    EXPECT(!stop_python());
}
namespace {
// 3.12 sometimes survives Python code without a tstate, depending on what the memory holds.
bool survives_by_luck(const about &python) { return python.version >= python_3_12 && python.version < python_3_13; }
} // namespace
TEST_CASE("failure 3: a reference dropped where nobody is attached") {
    about python;
    // Without a GIL the decref queues the object to the thread that made it.
    check_plain("3 plain", outcome::crashed, !python.is_free_threaded && !survives_by_luck(python));
    check_succeeds("3 with us");
}

// --- 13: finalizers re-enter attach while a thread state is cleared -------------------------------------------------

namespace {

// From Python, through ctypes.PyDLL: attached.
int reentered;

} // namespace

extern "C" __attribute__((visibility("default"))) void conformance_reenter_plainly() {
    ++reentered;
    plain_attach again;
    plain_int("6 * 7");
}
extern "C" __attribute__((visibility("default"))) void conformance_reenter() {
    ++reentered;
    attached again;
    EXPECT(eval_int("6 * 7") == 42);
}

namespace {

std::string destructor_that_calls(const char *function) {
    return std::string("import ctypes, threading\n"
                       "native = ctypes.PyDLL(None).") +
           function +
           "\nlocal = threading.local()\n"
           "class Busy:\n"
           "    def __del__(self, native=native): native()\n";
}

} // namespace

CHILD("13 plain") {
    auto &py = start_plain();
    EXPECT(py.run(destructor_that_calls("conformance_reenter_plainly").c_str(), nullptr) == 0);
    void *state = py.save();
    for (int i = 0; i < 20; ++i)
        run_on_thread([&] {
            plain_attach here;
            EXPECT(py.run("local.value = Busy()", nullptr) == 0);
        });
    py.restore(state);
    EXPECT(reentered == 20);
    EXPECT(py.finalize() == 0);
}
CHILD("13 with us") {
    start_python();
    {
        attached here;
        run(destructor_that_calls("conformance_reenter"));
    }
    policy thread_policy(PYATTACH_THREADS_SCOPED); // the state dies with every attach
    for (int i = 0; i < 20; ++i)
        run_on_thread([] {
            attached here;
            run("local.value = Busy()");
        });
    EXPECT(reentered == 20);
    EXPECT(!stop_python());
}
TEST_CASE("failure 13: finalizers attach while a thread state is cleared") {
    about python;
    // Fixed in 3.12.4 and 3.13.
    bool is_mended = python.version >= 0x030c04f0;
    check_plain("13 plain", is_mended ? outcome::fine : outcome::crashed);
    check_succeeds("13 with us");
}

// --- 16: a drop after the end, as destructors of statics do it ------------------------------------------------------

CHILD("16 plain") {
    auto &py = start_plain();
    EXPECT(py.run("class Mortal:\n    def __del__(self): len('destructor')\n", nullptr) == 0);
    object *in_a_static = plain_eval("Mortal()");
    EXPECT(py.finalize() == 0);
    must_end_soon();
    py.decref(in_a_static);
}
CHILD("16 with us") {
    start_python();
    ref in_a_static;
    {
        attached here;
        in_a_static = object_with_finalizer("len('destructor')");
    }
    EXPECT(!stop_python());
    auto before = all_counters();
    in_a_static.drop();
    EXPECT(all_counters().drops_leaked == before.drops_leaked + 1);
}
TEST_CASE("failure 16: a reference dropped after the end") {
    about python;
    check_plain("16 plain", outcome::crashed, !survives_by_luck(python));
    check_succeeds("16 with us");
}

// --- 17: a second life looks like the first -------------------------------------------------------------------------

CHILD("17 plain") {
    std::int64_t ids[2];
    for (std::int64_t &id : ids) {
        auto &py = start_plain();
        id = plain::cpython<std::int64_t(void *)>("PyInterpreterState_GetID")(
            plain::cpython<void *()>("PyInterpreterState_Main")());
        EXPECT(py.finalize() == 0);
    }
    answer(ids[0] != ids[1]); // what was cached for one would be taken for the other's
}
CHILD("17 with us") {
    pyattach_interpreter *lives[2];
    for (pyattach_interpreter *&life : lives) {
        start_python();
        life = pyattach_interpreter_main();
        EXPECT(!stop_python());
    }
    EXPECT(lives[0] != lives[1]);
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin_in(&scope, lives[0]) == PYATTACH_FINALIZING);
}
TEST_CASE("failure 17: state of a former life is taken for that of the next") {
    check_plain("17 plain", outcome::wrong_answer);
    check_succeeds("17 with us");
}
