// Failures of thread states: lost, doubled, dangling, the wrong one, and no function that says whether one is current.
#include "conformance/failure.hpp"

namespace {

constexpr char local_value[] = "import threading\n"
                               "died = []\n"
                               "local = threading.local()\n"
                               "class Value:\n"
                               "    def __del__(self): died.append(1)\n";

} // namespace

// --- 4: a thread state for every call -------------------------------------------------------------------------------

CHILD("4 plain") {
    auto &py = start_plain();
    EXPECT(py.run(local_value, nullptr) == 0);
    py.save();
    run_on_thread([&] {
        {
            plain_attach first;
            EXPECT(py.run("local.value = 5", nullptr) == 0);
        }
        plain_attach second;
        answer(plain_int("getattr(local, 'value', 0)") == 5);
    });
}
CHILD("4 with us") {
    start_python();
    {
        attached here;
        run(local_value);
    }
    run_on_thread([] {
        auto before = all_counters();
        {
            attached first;
            run("local.value = 5");
        }
        attached second;
        answer(!keeps_tstates() || eval_int("getattr(local, 'value', 0)") == 5);
        answer(!keeps_tstates() || all_counters().states_created == before.states_created + 1);
    });
}
TEST_CASE("failure 4: threading.local is lost between calls") {
    check_plain("4 plain", outcome::wrong_answer);
    check_succeeds("4 with us");
}

// --- 5: native thread-local data points at what died with the state -------------------------------------------------

namespace {
thread_local object *context; // borrowed from the threading.local of the same thread
} // namespace

CHILD("5 plain") {
    auto &py = start_plain();
    EXPECT(py.run(local_value, nullptr) == 0);
    py.save();
    run_on_thread([&] {
        {
            plain_attach first;
            EXPECT(py.run("local.value = Value()", nullptr) == 0);
            context = plain_eval("local.value");
            py.decref(context);
        }
        plain_attach second; // in which `context` would be used
        answer(plain_int("len(died)") == 0);
    });
}
CHILD("5 with us") {
    start_python();
    {
        attached here;
        run(local_value);
    }
    run_on_thread([] {
        if (!keeps_tstates())
            return; // a debug build cannot
        {
            attached first;
            run("local.value = Value()");
            context = eval("local.value").get();
        }
        attached second;
        answer(eval_int("len(died)") == 0);
        answer(eval("local.value").get() == context);
    });
    for (int i = 0; i < 70; ++i) // and it does die, after its thread
        run_on_thread([] { attached here; });
    attached here;
    answer(!keeps_tstates() || eval_int("len(died)") == 1);
}
TEST_CASE("failure 5: threading.local data dies under native thread-local data") {
    check_plain("5 plain", outcome::wrong_answer);
    check_succeeds("5 with us");
}

// --- 6: two libraries make two states for one thread ----------------------------------------------------------------

CHILD("6 plain") {
    auto &py = start_plain();
    EXPECT(py.run(local_value, nullptr) == 0);
    auto *interpreter = plain::cpython<void *()>("PyInterpreterState_Main")();
    py.save();
    run_on_thread([&] {
        // One library uses PyGILState until the thread ends.
        py.ensure();
        EXPECT(py.run("local.value = 5", nullptr) == 0);
        py.save();
        // Another library keeps a tstate of its own in a thread-local.
        void *cached = plain::cpython<void *(void *)>("PyThreadState_New")(interpreter);
        py.restore(cached);
        answer(plain_int("getattr(local, 'value', 0)") == 5);
    });
}
CHILD("6 plain, then the first again") {
    auto &py = start_plain();
    auto *interpreter = plain::cpython<void *()>("PyInterpreterState_Main")();
    py.save();
    run_on_thread([&] {
        py.ensure();
        py.save();
        py.restore(plain::cpython<void *(void *)>("PyThreadState_New")(interpreter));
        must_end_soon();
        plain_attach first_again; // wants its own state, and the GIL that this thread holds
        plain_int("1");
    });
}
CHILD("6 with us") {
    start_python();
    {
        attached here;
        run(local_value);
    }
    run_on_thread([] {
        cpython<int()>("PyGILState_Ensure")();
        run("local.value = 5");
        cpython<void *()>("PyEval_SaveThread")();
        attached here;
        answer(eval_int("getattr(local, 'value', 0)") == 5);
        foreign_attach first_again;
        answer(eval_int("local.value") == 5);
    });
}
TEST_CASE("failure 6: two thread states for one thread") {
    about python;
    // Up to 3.11 a debug build asserts that there is but one.
    bool asserts = python.is_debug && python.version < python_3_12;
    bool waits_for_itself = python.version < python_3_12 && !asserts;
    check_plain("6 plain", asserts ? outcome::crashed : outcome::wrong_answer);
    check_plain("6 plain, then the first again", asserts ? outcome::crashed : outcome::hung,
                asserts || waits_for_itself);
    check_succeeds("6 with us");
}

// --- 7: "am I attached?" --------------------------------------------------------------------------------------------

CHILD("7 plain") {
    auto &py = start_plain();
    auto *check = plain::cpython<int()>("PyGILState_Check");
    void *tstate = plain::cpython<void *()>("PyThreadState_Get")();
    plain::cpython<void(void *)>("Py_EndInterpreter")(plain::cpython<void *()>("Py_NewInterpreter")());
    plain::cpython<void *(void *)>("PyThreadState_Swap")(tstate);
    py.save();
    answer(run_on_thread([&] { return check() == 0; })); // once there was a sub-interpreter it says yes for good
}
CHILD("7 with us") {
    start_python();
    {
        attached here;
        current_sub_interpreter once;
    }
    run_on_thread([] {
        answer(!pyattach_is_attached());
        attached here;
        answer(pyattach_is_attached());
        foreign_detach gap;
        answer(!pyattach_is_attached());
    });
}
TEST_CASE("failure 7: whether a thread is attached has no right answer") {
    check_plain("7 plain", outcome::wrong_answer);
    check_succeeds("7 with us");
}

// --- 11: an attach that was meant for a sub-interpreter lands in the main one ---------------------------------------

CHILD("11 plain") {
    auto &py = start_plain();
    auto *interpreter = plain::cpython<void *(void *)>("PyThreadState_GetInterpreter");
    auto *current = plain::cpython<void *()>("PyThreadState_Get");
    plain::cpython<void *()>("Py_NewInterpreter")(); // a plugin's, which now starts a native thread
    void *plugins = interpreter(current());
    py.save();
    run_on_thread([&] {
        plain_attach in_a_callback;
        answer(interpreter(current()) == plugins);
    });
}
CHILD("11 with us") {
    start_python();
    attached here;
    current_sub_interpreter sub;
    if (python_version() < python_3_12)
        return answer(pyattach_interpreter_current() == nullptr); // said to be unknown, never taken for the main one
    pyattach_interpreter *plugins = pyattach_interpreter_current();
    {
        detached gap;
        run_on_thread([&] {
            attached in_a_callback(plugins);
            answer(pyattach_interpreter_current() == plugins);
        });
    }
    sub.end();
    pyattach_attached late;
    answer(pyattach_attached_begin_in(&late, plugins) == PYATTACH_FINALIZING); // nor does it fall back
}
TEST_CASE("failure 11: attaching lands in the wrong interpreter") {
    check_plain("11 plain", outcome::wrong_answer);
    check_succeeds("11 with us");
}
