// A thread that CPython ends by unwinding its stack, as it does up to 3.13.7 with one that it refuses, in each call of
// CPython's that the library makes in turn: it is parked there, without a destructor that needs a thread state, and
// neither the process nor Python's end minds.
#include <memory>
#include <vector>

#include "api/thread_states.hpp"
#include "fault_fork.hpp"
#include "pyattach/pyattach.hpp"
#include "support/sub_interpreter.hpp"

using namespace support;
using faults::on;

namespace {

pyattach_status attach() {
    pyattach_attached scope;
    pyattach_status status = pyattach_attached_begin(&scope);
    if (status == PYATTACH_OK)
        pyattach_attached_end(&scope);
    return status;
}

int threads_ended = 0;

// `call` on a thread of its own, which is ended in the call of CPython's after `before`. The name of that; NULL: there
// were not so many.
const char *end_in(int before, on where, const std::function<void()> &call) {
    // Shared with a thread that stays.
    auto ready = std::make_shared<latch>("a thread to stand where it is to be ended");
    auto may_begin = std::make_shared<latch>("permission to be ended");
    task subject("a thread that is ended", [=] {
        faults::standing stands(where);
        ready->count_down();
        may_begin->wait();
        call();
        faults::end_thread_at(-1);
    });
    ready->wait();
    faults::end_thread_at(before);
    may_begin->count_down();
    wait_until("a thread to be ended", [&] { return subject.has_returned() || faults::ended_at(); });
    const char *name = faults::ended_at();
    if (!name) {
        subject.join();
        return nullptr;
    }
    subject.wait_until_asleep();
    EXPECT_SENTENCE(!subject.has_returned(), std::string("ended in ") + name + " the thread went on");
    subject.abandon();
    ++threads_ended;
    return name;
}

// The names of all that it was ended in.
std::set<std::string> end_everywhere_in(
    on where, const std::function<void()> &call, const std::function<void()> &before_each = [] {}) {
    std::set<std::string> names;
    for (int before = 0; before < 500; ++before) {
        before_each();
        const char *name = end_in(before, where, call);
        if (!name)
            return names;
        names.insert(name);
        attached here; // others can go on
        EXPECT(eval_int("1 + 1") == 2);
    }
    support::fail(__FILE__, __LINE__, "it never gets through");
}

// Each in a fork of a process in which a host has started Python.
void ended_first_contact(on where, const char *preparation = "pass") {
    load_python();
    cpython<void(const wchar_t *)>("Py_SetProgramName")(
        cpython<wchar_t *(const char *, size_t *)>("Py_DecodeLocale")(python_executable().c_str(), nullptr));
    cpython<void(int)>("Py_InitializeEx")(0);
    EXPECT(cpython<int(const char *)>("PyRun_SimpleString")(preparation) == 0);
    pyattach_set_exit_timeout(1000000);
    faults::for_each_failure(faults::lasting::once, [&](int before, faults::lasting) {
        const char *name = nullptr;
        {
            foreign_detach gap;
            name = end_in(before, where, [] { (void)attach(); });
        }
        // Up to 3.12 it waits at the end for the thread that imported it first, which CPython ends only after that.
        EXPECT(cpython<int(const char *)>("PyRun_SimpleString")("import sys; sys.modules.pop('threading', None)") == 0);
        EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
        return name;
    });
}

// In one process: what can be done while Python runs. Then it ends, although the threads are inside for ever.
struct ended_threads {
    ended_threads() {
        start_python();
        pyattach_set_exit_timeout(1000000);
        attached here;
        run("class Probe:\n"
            "    def __index__(self): return 7\n"
            "    def __del__(self): pass\n"
            "probe = Probe()\n");
        probe = eval("probe").release();
    }
    ~ended_threads() {
        pyattach_status status = pyattach_interpreter_stop();
        if (status != (threads_ended ? PYATTACH_TIMED_OUT : PYATTACH_OK))
            give_up(std::string("Python to end beside threads inside: ") + pyattach_status_message(status));
        end_child();
    }
    // Free-threaded 3.13 crashes at its end over a state that is cleared and not deleted. It does not refuse a thread
    // between the two.
    static void leave_states_half_deleted() {
        if (is_free_threaded())
            end_child();
    }
    object *probe;
};

void expect_among(const std::set<std::string> &names, std::initializer_list<const char *> wanted) {
    for (const char *one : wanted)
        EXPECT_SENTENCE(names.count(one) == 1, std::string("no thread was ended in ") + one);
}

} // namespace

CHILD("ended in a native thread's first contact") { ended_first_contact(on::fresh); }
CHILD("ended in the first contact of a thread that others attached") { ended_first_contact(on::attached_by_others); }
CHILD("ended in a first contact with threading there") { ended_first_contact(on::fresh, "import threading"); }
CHILD("ended in a first contact with threading shutting down") {
    ended_first_contact(on::fresh, "import threading; threading._SHUTTING_DOWN = True");
}
TEST_CASE("a thread that is ended in any call of its first contact is parked there, and Python ends") {
    std::set<std::string> names = faults::names_of("ended in a native thread's first contact");
    faults::check_among(names, {"state_new", "restore", "sys_object", "dict_get", "interpreter_dict", "capsule_new",
                                "dict_set", "import_module", "get_attribute", "tuple_new", "tuple_set", "function_new",
                                "dict_new", "call_object", "module_dict", "dict_size", "error_clear", "error_restore",
                                "decref"});
    faults::names_of("ended in the first contact of a thread that others attached");
    faults::names_of("ended in a first contact with threading there");
    names = faults::names_of("ended in a first contact with threading shutting down");
    faults::check_among(names, {"is_true", "compile", "eval_code"});
}

CHILD("ended in attaching and detaching") {
    ended_threads all;
    expect_among(end_everywhere_in(on::fresh, [] { (void)attach(); }), {"state_new", "restore"});
    end_everywhere_in(on::attached_by_others, [] { (void)attach(); });
    end_everywhere_in(on::in_a_gap, [] { (void)attach(); });
    auto detach = [] {
        pyattach_detached gap;
        EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK && pyattach_detached_end(&gap) == PYATTACH_OK);
    };
    expect_among(end_everywhere_in(on::inside, detach), {"restore"});
    expect_among(end_everywhere_in(on::attached_by_others, detach), {"restore"});
    auto release = [] {
        (void)attach();
        (void)pyattach_thread_release();
    };
    expect_among(end_everywhere_in(on::fresh, release), {"state_clear", "state_delete_current"});
    pyattach_set_thread_policy(PYATTACH_THREADS_SCOPED);
    expect_among(end_everywhere_in(on::fresh, [] { (void)attach(); }), {"state_clear", "state_delete_current"});
    all.leave_states_half_deleted();
}
TEST_CASE("a thread that is ended while it attaches or detaches is parked") {
    check_succeeds("ended in attaching and detaching");
}

CHILD("ended in deleting states") {
    ended_threads all;
    std::set<std::string> names = end_everywhere_in(
        on::fresh, [] { (void)attach(); },
        [] {
            constexpr int threads = 12; // more than may wait
            barrier all_there("the others to come", threads);
            std::vector<std::unique_ptr<task>> others;
            for (int i = 0; i < threads; ++i)
                others.push_back(std::make_unique<task>("one of many threads to end", [&] {
                    (void)attach();
                    all_there.arrive_and_wait();
                }));
            for (auto &one : others)
                one->join();
        });
    expect_among(names, {"state_new", "restore"});
    if (!is_debug_build())
        expect_among(names, {"state_clear", "state_delete"});
    all.leave_states_half_deleted();
}
TEST_CASE("a thread that is ended while it deletes the states of ended threads is parked") {
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
TEST_CASE("a thread that is ended while it gives references back is parked") {
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
    for (const auto &one : calls) {
        auto call = [&one] {
            object *result = nullptr;
            one.call(&result);
            pyattach_decref(result);
        };
        expect_among(end_everywhere_in(on::inside, call), {one.function});
    }
}
TEST_CASE("a thread that is ended in a call is parked") { check_succeeds("ended in a call"); }

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
TEST_CASE("a thread that is ended in a section is parked") { check_succeeds("ended in a section"); }

// By a call of CPython's that the user's code makes without this library.
namespace {

// `run` runs the once with an initialiser in which its thread is ended.
void expect_once_anew(pyattach_once *word, const std::function<pyattach_status()> &run_once) {
    task subject("a thread that is ended", [&run_once] {
        give_up(std::string("an initialiser to be ended: ") + pyattach_status_message(run_once()));
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

CHILD("ended in an initialiser") {
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
TEST_CASE("a thread that is ended in an initialiser is parked, and the once runs anew") {
    check_succeeds("ended in an initialiser");
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
    // Does not wait for the call, which is over.
    EXPECT(pyattach_exit_callback_remove(other, end_thread, nullptr) == PYATTACH_INVALID);
    attached here;
    EXPECT(eval_int("1 + 1") == 2);
    end_child();
}
TEST_CASE("a thread that is ended in an exit callback is parked, and the call counts as returned") {
    check_succeeds("ended in an exit callback");
}
