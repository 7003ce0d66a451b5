// A thread that CPython ends by unwinding its stack, as it does up to 3.13.7 with one that it refuses, in each call of
// CPython's that the library makes in turn: it is parked there, without a destructor that needs a thread state, and
// neither the process nor Python's end minds.
#include "fault_forced_unwind.hpp"

CHILD("ended in a native thread's first contact") { ended_first_contact(on::fresh); }
CHILD("ended in the first contact of a thread that others attached") { ended_first_contact(on::attached_by_others); }
CHILD("ended in a first contact with threading there") { ended_first_contact(on::fresh, "import threading"); }
CHILD("ended in a first contact with threading shutting down") {
    ended_first_contact(on::fresh, "import threading; threading._SHUTTING_DOWN = True");
}
TEST_CASE("a forced unwind in any call of the registration parks the thread, and Python finalizes") {
    // A thread that is ended in PyThreadState_Clear leaves its tstate half cleared, on which a debug build asserts at
    // its end.
    load_python();
    if (is_debug_build())
        return;
    faults::check_sweep("ended in a native thread's first contact",
                        {"tstate_new", "restore", "sys_object", "dict_get", "interpreter_dict", "capsule_new",
                         "dict_set", "import_module", "get_attribute", "tuple_new", "tuple_set", "function_new",
                         "dict_new", "call_object", "module_dict", "dict_size", "error_clear", "error_restore",
                         "decref"});
    faults::names_of("ended in the first contact of a thread that others attached");
    faults::names_of("ended in a first contact with threading there");
    faults::check_sweep("ended in a first contact with threading shutting down", {"is_true", "compile", "eval_code"});
}

CHILD("ended in attaching and detaching") {
    ended_threads all;
    expect_among(end_everywhere_in(on::fresh, [] { (void)try_to_attach(); }), {"tstate_new", "restore"});
    end_everywhere_in(on::attached_by_others, [] { (void)try_to_attach(); });
    end_everywhere_in(on::in_a_gap, [] { (void)try_to_attach(); });
    auto detach = [] {
        pyattach_detached gap;
        EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK && pyattach_detached_end(&gap) == PYATTACH_OK);
    };
    expect_among(end_everywhere_in(on::inside, detach), {"restore"});
    expect_among(end_everywhere_in(on::attached_by_others, detach), {"restore"});
    auto release = [] {
        (void)try_to_attach();
        (void)pyattach_thread_release();
    };
    expect_among(end_everywhere_in(on::fresh, release), {"tstate_clear", "tstate_delete_current"});
    pyattach_set_thread_policy(PYATTACH_THREADS_SCOPED);
    expect_among(end_everywhere_in(on::fresh, [] { (void)try_to_attach(); }),
                 {"tstate_clear", "tstate_delete_current"});
    all.leave_states_half_deleted();
}
TEST_CASE("a forced unwind in an attach or a detach parks the thread") {
    check_succeeds("ended in attaching and detaching");
}

CHILD("ended in deleting states") {
    ended_threads all;
    std::set<std::string> names = end_everywhere_in(
        on::fresh, [] { (void)try_to_attach(); },
        [] {
            constexpr int threads = 12; // more than may wait
            barrier all_there("the others to come", threads);
            run_on_threads(threads, "one of many threads to end", [&](int) {
                (void)try_to_attach();
                all_there.arrive_and_wait();
            });
        });
    expect_among(names, {"tstate_new", "restore"});
    if (!is_debug_build())
        expect_among(names, {"tstate_clear", "tstate_delete"});
    all.leave_states_half_deleted();
}
TEST_CASE("a forced unwind in the deletion of ended threads' tstates parks the thread") {
    check_succeeds("ended in deleting states");
}

CHILD("ended in giving references back") {
    ended_threads all;
    auto drop = [&all] {
        cpython<void(object *)>("Py_IncRef")(all.probe);
        pyattach_decref(all.probe);
        object *last = nullptr;
        if (pyattach_eval("Probe()", nullptr, nullptr, &last) == PYATTACH_OK)
            pyattach_decref(last);
    };
    expect_among(end_everywhere_in(on::inside, drop), {"decref"});
    auto queue = [] {
        attached here;
        object *last = nullptr;
        if (pyattach_eval("Probe()", nullptr, nullptr, &last) != PYATTACH_OK)
            return;
        {
            detached gap;
            pyattach_decref(last);
        }
        (void)pyattach_pool_drain();
    };
    expect_among(end_everywhere_in(on::inside, queue), {"decref", "error_restore"});
}
TEST_CASE("a forced unwind in a decref or a drain parks the thread") {
    check_succeeds("ended in giving references back");
}

CHILD("ended in a call") {
    ended_threads all;
    object *probe = all.probe;
    struct {
        const char *function; // of CPython's, which must be among those that ended it
        std::function<void(object **)> call;
    } calls[] = {
        {"eval_code", [](object **to) { (void)pyattach_eval("1", nullptr, nullptr, to); }},
        {"compile_with", [](object **) { (void)pyattach_run("1", nullptr, nullptr); }},
        {"import_module", [](object **to) { (void)pyattach_import("sys", to); }},
        {"check_signals", [](object **) { (void)pyattach_check_signals(); }},
        {"get_attribute", [=](object **to) { (void)pyattach_get_attribute(probe, "__class__", to); }},
        {"index",
         [=](object **) {
             int64_t value;
             (void)pyattach_to_int64(probe, &value);
         }},
        {"is_true",
         [=](object **) {
             int value;
             (void)pyattach_to_bool(probe, &value);
         }},
        {"str", [=](object **to) { (void)pyattach_str(probe, to); }},
        {"error_normalize",
         [](object **to) {
             (void)pyattach_run("1 / 0", nullptr, nullptr);
             char text[100];
             (void)pyattach_error_message(text, sizeof text);
             (void)pyattach_error_take(to);
             (void)pyattach_error_restore(*to);
             pyattach_error_clear();
         }},
    };
    for (const auto &each : calls) {
        auto call = [&each] {
            object *result = nullptr;
            each.call(&result);
            pyattach_decref(result);
        };
        expect_among(end_everywhere_in(on::inside, call), {each.function});
    }
}
TEST_CASE("a forced unwind in a call into Python parks the thread") { check_succeeds("ended in a call"); }

CHILD("ended in a section") {
    ended_threads all;
    auto section = [&all] {
        pyattach_critical_section here;
        if (pyattach_critical_section_begin(&here, all.probe) == PYATTACH_OK)
            pyattach_critical_section_end(&here);
        if (pyattach_critical_section_begin2(&here, all.probe, all.probe) == PYATTACH_OK)
            pyattach_critical_section_end(&here);
    };
    std::set<std::string> names = end_everywhere_in(on::inside, section);
    if (is_free_threaded())
        expect_among(names, {"section_begin", "section_end"});
}
TEST_CASE("a forced unwind in a critical section parks the thread") { check_succeeds("ended in a section"); }

// The user's code calls CPython without this library.
namespace {

// `run` runs the once with an initializer in which its thread is ended.
void expect_once_anew(pyattach_once *word, const std::function<pyattach_status()> &run_once) {
    task subject("a thread that is ended", [&run_once] {
        give_up(std::string("an initializer to be ended: ") + pyattach_status_message(run_once()));
    });
    subject.wait_until_asleep();
    EXPECT(!subject.has_returned());
    subject.abandon();
    int runs = 0;
    auto refuse = [](void *count) { return ++*static_cast<int *>(count), PYATTACH_INVALID; };
    EXPECT(pyattach_once_run(word, refuse, &runs) == PYATTACH_INVALID);
    EXPECT(runs == 1);
}

} // namespace

CHILD("ended in an initializer") {
    start_python();
    static pyattach_once in_c = PYATTACH_ONCE_INIT;
    expect_once_anew(&in_c, [] {
        return pyattach_once_run(
            &in_c, [](void *) -> pyattach_status { pthread_exit(nullptr); }, nullptr);
    });
    static pyattach::once throwing, not_throwing;
    expect_once_anew(throwing.native_handle(), [] {
        throwing.run([] { pthread_exit(nullptr); });
        return PYATTACH_OK;
    });
    expect_once_anew(not_throwing.native_handle(),
                     [] { return not_throwing.run(std::nothrow, [] { pthread_exit(nullptr); }); });
    end_child();
}
TEST_CASE("a forced unwind in a once initializer parks the thread, and the once runs again") {
    check_succeeds("ended in an initializer");
}

// The interpreter is a sub-interpreter, since the main one ends on a thread that CPython does not refuse.
CHILD("ended in an exit callback") {
    start_python();
    static pyattach_interpreter *other;
    static latch is_called("an exit callback to be called");
    auto end_thread = [](pyattach_interpreter *, void *) {
        is_called.count_down();
        pthread_exit(nullptr);
    };
    task subject("a thread that is ended", [&] {
        attached here;
        sub_interpreter ending;
        other = ending.handle();
        EXPECT(pyattach_exit_callback_add(other, end_thread, nullptr) == PYATTACH_OK);
        ending.end();
        give_up("an exit callback to be ended");
    });
    is_called.wait();
    subject.wait_until_asleep();
    EXPECT(!subject.has_returned());
    subject.abandon();
    // Does not wait for the callback, which counts as returned.
    EXPECT(pyattach_exit_callback_remove(other, end_thread, nullptr) == PYATTACH_INVALID);
    attached here;
    EXPECT(eval_int("1 + 1") == 2);
    end_child();
}
TEST_CASE("a forced unwind in an exit callback parks the thread, and the callback counts as returned") {
    check_succeeds("ended in an exit callback");
}
