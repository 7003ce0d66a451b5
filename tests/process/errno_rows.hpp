// A row for each function of the C ABI: the function is called while code inside it changes errno.
#pragma once

#include "process/errno_spoilers.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <cerrno>
#include <fstream>
#include <map>

using namespace support;

namespace {

pyattach_status initialize(void *) {
    errno = 1;
    return PYATTACH_OK;
}
void at_exit(pyattach_interpreter *, void *) { errno = 1; }

std::map<std::string, std::function<void()>> rows() {
    std::map<std::string, std::function<void()>> all;
    const auto in_scope = [](std::function<void()> act) {
        return [act] {
            attached here;
            act();
        };
    };
#define ROW(name, ...) all["pyattach_" #name] = [=] { __VA_ARGS__; }
#define KEEP(call) keeping(#call, [&] { return call; })
#define KEEP_VOID(call) keeping_void(#call, [&] { call; })
    ROW(version, KEEP(pyattach_version()));
    ROW(status_message, KEEP(pyattach_status_message(PYATTACH_OK)));
    ROW(set_message_handler, KEEP_VOID(pyattach_set_message_handler(nullptr, nullptr)));
    ROW(python_load, KEEP(pyattach_python_load(nullptr)); KEEP(pyattach_python_load("/nonexistent/libpython"));
        KEEP(pyattach_python_load("")));
    ROW(python_describe, pyattach_python about{}; about.struct_size = sizeof about;
        KEEP(pyattach_python_describe(&about)));
    ROW(interpreter_main, KEEP(pyattach_interpreter_main()));
    ROW(interpreter_current, KEEP(pyattach_interpreter_current()); attached here; KEEP(pyattach_interpreter_current()));
    ROW(interpreter_start, KEEP(pyattach_interpreter_start()));
    ROW(interpreter_start_with, pyattach_start_options how{}; KEEP(pyattach_interpreter_start_with(&how));
        how.struct_size = sizeof how; KEEP(pyattach_interpreter_start_with(&how)));
    ROW(set_exit_timeout, KEEP_VOID(pyattach_set_exit_timeout(10000000000)));
    ROW(hold_begin, pyattach_hold hold; EXPECT(KEEP(pyattach_hold_begin(&hold, nullptr, "errno")) == PYATTACH_OK);
        KEEP_VOID(pyattach_hold_end(&hold)));
    all["pyattach_hold_end"] = all["pyattach_hold_begin"];
    ROW(interpreter_is_ending, KEEP(pyattach_interpreter_is_ending(nullptr)));
    ROW(exit_callback_add, KEEP(pyattach_exit_callback_add(pyattach_interpreter_main(), at_exit, nullptr)));
    ROW(exit_callback_add_with, pyattach_exit_callback_options how{};
        KEEP(pyattach_exit_callback_add_with(pyattach_interpreter_main(), at_exit, nullptr, &how)));
    ROW(exit_callback_remove, KEEP(pyattach_exit_callback_remove(pyattach_interpreter_main(), at_exit, &errno)));
    ROW(set_thread_policy, KEEP_VOID(pyattach_set_thread_policy(PYATTACH_THREADS_WARM)));
    ROW(thread_release, { attached here; } KEEP(pyattach_thread_release()); attached here;
        KEEP(pyattach_thread_release()));
    ROW(set_drain_budget, KEEP_VOID(pyattach_set_drain_budget(256)));
    ROW(set_housekeeping, KEEP_VOID(pyattach_set_housekeeping(PYATTACH_HOUSEKEEPING_OFF)));
    ROW(set_release_delay, KEEP_VOID(pyattach_set_release_delay(100000000)));
    ROW(stats_get, pyattach_stats all_stats{}; all_stats.struct_size = sizeof all_stats;
        KEEP_VOID(pyattach_stats_get(&all_stats)));
    ROW(threads_get, pyattach_thread_info infos[2]{}; KEEP(pyattach_threads_get(infos, 2));
        infos->struct_size = sizeof *infos; KEEP(pyattach_threads_get(infos, 2)));
    ROW(report, KEEP_VOID(pyattach_report(-1)); attached here; KEEP_VOID(pyattach_report(-1)));
    ROW(attach_depth, KEEP(pyattach_attach_depth()));
    ROW(is_attached, KEEP(pyattach_is_attached()));
    ROW(is_forbidden, KEEP(pyattach_is_forbidden()));
    // Scopes: attaching on a thread that has a state and on one that has none, nested, and each with something to
    // drain.
    const auto attach = [](auto begin) {
        run_on_thread([&] {
            pyattach_attached scope;
            EXPECT(begin(&scope) == PYATTACH_OK);
            KEEP_VOID(pyattach_attached_end(&scope));
        });
        pyattach_attached scope;
        EXPECT(begin(&scope) == PYATTACH_OK);
        leave_a_spoiler();
        pyattach_attached nested;
        EXPECT(begin(&nested) == PYATTACH_OK);
        EXPECT(spoilt() == 1);
        KEEP_VOID(pyattach_attached_end(&nested));
        KEEP_VOID(pyattach_attached_end(&scope));
        forbidden traverse;
        EXPECT(begin(&scope) == PYATTACH_FORBIDDEN);
    };
    ROW(attached_begin, attach([](pyattach_attached *scope) { return KEEP(pyattach_attached_begin(scope)); }));
    ROW(attached_begin_unchecked,
        attach([](pyattach_attached *scope) { return KEEP(pyattach_attached_begin_unchecked(scope)); }));
    ROW(attached_begin_in, attach([](pyattach_attached *scope) {
            return KEEP(pyattach_attached_begin_in(scope, pyattach_interpreter_main()));
        }));
    // An exception that is still set is reported by a hook, which may do anything.
    all["pyattach_attached_end"] = [] {
        {
            attached here;
            run("import sys\nsys.unraisablehook = spoil");
        }
        run_on_thread([] {
            pyattach_attached scope;
            EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
            EXPECT(pyattach_run("raise ValueError", nullptr, nullptr) == PYATTACH_PYTHON_ERROR);
            KEEP_VOID(pyattach_attached_end(&scope));
        });
        attached here;
        EXPECT(spoilt() == 1);
        run("sys.unraisablehook = sys.__unraisablehook__");
    };
    all["pyattach_attached_assume"] = in_scope([] {
        leave_a_spoiler();
        pyattach_attached scope;
        EXPECT(KEEP(pyattach_attached_assume(&scope)) == PYATTACH_OK);
        EXPECT(spoilt() == 1);
        pyattach_attached_end(&scope);
    });
    all["pyattach_detached_begin"] = all["pyattach_detached_end"] = in_scope([] {
        ref dying = object_with_finalizer(spoils);
        pyattach_detached gap;
        EXPECT(KEEP(pyattach_detached_begin(&gap)) == PYATTACH_OK);
        dying.drop();
        EXPECT(KEEP(pyattach_detached_end(&gap)) == PYATTACH_OK);
        EXPECT(spoilt() == 1);
        forbidden traverse;
        EXPECT(KEEP(pyattach_detached_begin(&gap)) == PYATTACH_FORBIDDEN);
    });
    ROW(forbidden_begin, pyattach_forbidden scope; KEEP_VOID(pyattach_forbidden_begin(&scope));
        KEEP_VOID(pyattach_forbidden_end(&scope)));
    all["pyattach_forbidden_end"] = all["pyattach_forbidden_begin"];
    all["pyattach_incref"] = in_scope([] {
        ref reference = new_object();
        KEEP(pyattach_incref(reference));
        pyattach_decref(reference);
        forbidden traverse;
        KEEP(pyattach_incref(reference));
    });
    all["pyattach_decref"] = in_scope([] {
        object *dying = object_with_finalizer(spoils).release();
        KEEP_VOID(pyattach_decref(dying));
        EXPECT(spoilt() == 1);
        object *queued = new_object().release();
        run_on_thread([&] { KEEP_VOID(pyattach_decref(queued)); });
    });
    all["pyattach_decref_in"] = in_scope([] {
        object *dying = object_with_finalizer(spoils).release();
        KEEP_VOID(pyattach_decref_in(pyattach_interpreter_main(), dying));
        EXPECT(spoilt() == 1);
    });
    all["pyattach_pool_drain"] = in_scope([] {
        leave_a_spoiler();
        KEEP(pyattach_pool_drain());
        EXPECT(spoilt() == 1);
    });
    ROW(pool_size, KEEP(pyattach_pool_size()));
    // The lock is contended, so the call waits.
    all["pyattach_mutex_lock"] = in_scope([] {
        pyattach_mutex lock = PYATTACH_MUTEX_INIT;
        KEEP_VOID(pyattach_mutex_lock(&lock));
        KEEP_VOID(pyattach_mutex_unlock(&lock));
        detached gap;
        pyattach_mutex_lock(&lock);
        task waiting("a thread that waits for the mutex", [&] {
            attached here;
            KEEP_VOID(pyattach_mutex_lock(&lock));
            KEEP_VOID(pyattach_mutex_unlock(&lock));
        });
        waiting.wait_until_asleep();
        KEEP_VOID(pyattach_mutex_unlock(&lock));
        waiting.join();
    });
    all["pyattach_mutex_unlock"] = all["pyattach_mutex_lock"];
    ROW(mutex_lock_for, pyattach_mutex lock = PYATTACH_MUTEX_INIT; pyattach_mutex_lock(&lock);
        EXPECT(KEEP(pyattach_mutex_lock_for(&lock, 1000000)) == PYATTACH_TIMED_OUT); pyattach_mutex_unlock(&lock);
        EXPECT(KEEP(pyattach_mutex_lock_for(&lock, 0)) == PYATTACH_OK));
    ROW(mutex_try_lock, pyattach_mutex lock = PYATTACH_MUTEX_INIT; KEEP(pyattach_mutex_try_lock(&lock));
        KEEP(pyattach_mutex_try_lock(&lock)); pyattach_mutex_unlock(&lock));
    ROW(mutex_is_locked, pyattach_mutex lock = PYATTACH_MUTEX_INIT; KEEP(pyattach_mutex_is_locked(&lock)));
    all["pyattach_critical_section_begin"] = in_scope([] {
        ref left = new_object(), right = new_object();
        pyattach_critical_section section;
        KEEP(pyattach_critical_section_begin(&section, left));
        KEEP_VOID(pyattach_critical_section_end(&section));
        KEEP(pyattach_critical_section_begin2(&section, left, right));
        KEEP_VOID(pyattach_critical_section_end(&section));
        pyattach_mutex first = PYATTACH_MUTEX_INIT, second = PYATTACH_MUTEX_INIT;
        KEEP(pyattach_critical_section_begin_mutex(&section, &first));
        KEEP_VOID(pyattach_critical_section_end(&section));
        KEEP(pyattach_critical_section_begin_mutex2(&section, &first, &second));
        KEEP_VOID(pyattach_critical_section_end(&section));
    });
    for (const char *other : {"begin2", "begin_mutex", "begin_mutex2", "end"})
        all[std::string("pyattach_critical_section_") + other] = all["pyattach_critical_section_begin"];
    ROW(once_run, pyattach_once once = PYATTACH_ONCE_INIT;
        EXPECT(KEEP(pyattach_once_run(&once, initialize, nullptr)) == PYATTACH_OK));
    // Calls: each runs Python code that spoils errno.
    const auto python_call = [&](const char *name, std::function<void(object *)> act) {
        all[std::string("pyattach_") + name] = in_scope([act] {
            ref spoiler = eval("spoiler()");
            spoilt();
            act(spoiler);
            EXPECT(spoilt() >= 1);
        });
    };
    ref *result = new ref; // for good: rows are kept by value
    const auto into = [result] { return reinterpret_cast<object **>(result); };
    static std::int64_t number;
    static double real;
    static int flag;
    static const char *text;
    static size_t size;
    python_call("eval", [=](object *) { KEEP(pyattach_eval("spoil()", nullptr, nullptr, into())); });
    python_call("run", [=](object *) { KEEP(pyattach_run("spoil()", nullptr, nullptr)); });
    python_call("call", [=](object *) { KEEP(pyattach_call(eval("spoil"), nullptr, 0, into())); });
    python_call("get_attribute", [=](object *spoiler) { KEEP(pyattach_get_attribute(spoiler, "missing", into())); });
    python_call("set_attribute", [=](object *spoiler) { KEEP(pyattach_set_attribute(spoiler, "missing", spoiler)); });
    python_call("to_int64", [=](object *spoiler) { KEEP(pyattach_to_int64(spoiler, &number)); });
    python_call("to_double", [=](object *spoiler) { KEEP(pyattach_to_double(spoiler, &real)); });
    python_call("to_bool", [=](object *spoiler) { KEEP(pyattach_to_bool(spoiler, &flag)); });
    python_call("str", [=](object *spoiler) { KEEP(pyattach_str(spoiler, into())); });
    python_call("repr", [=](object *spoiler) { KEEP(pyattach_repr(spoiler, into())); });
    python_call("is_instance",
                [=](object *spoiler) { KEEP(pyattach_is_instance(spoiler, eval("questioned"), &flag)); });
    python_call("is_subclass", [=](object *) { KEEP(pyattach_is_subclass(eval("int"), eval("questioned"), &flag)); });
    python_call("error_report", [=](object *) {
        run("import sys\nsys.unraisablehook = lambda what: spoil()");
        EXPECT(pyattach_run("raise ValueError", nullptr, nullptr) == PYATTACH_PYTHON_ERROR);
        KEEP_VOID(pyattach_error_report(nullptr));
        run("sys.unraisablehook = sys.__unraisablehook__");
    });
    python_call("error_message", [=](object *) {
        EXPECT(pyattach_run("raise ValueError(spoiler())", nullptr, nullptr) == PYATTACH_PYTHON_ERROR);
        char message[100];
        KEEP(pyattach_error_message(message, sizeof message));
        pyattach_error_clear();
    });
    python_call("error_clear", [=](object *) {
        ref dying = object_with_finalizer(spoils);
        publish("dying", dying);
        dying.drop();
        EXPECT(pyattach_run("raise ValueError(globals().pop('dying'))", nullptr, nullptr) == PYATTACH_PYTHON_ERROR);
        KEEP_VOID(pyattach_error_clear());
    });
    // These run no Python code and no callback.
    all["pyattach_import"] =
        in_scope([=] { KEEP(pyattach_import("no_such_module_at_all", into())), pyattach_error_clear(); });
    all["pyattach_check_signals"] = in_scope([] { KEEP(pyattach_check_signals()); });
    ROW(can_handle_signals, KEEP(pyattach_can_handle_signals()));
    all["pyattach_to_utf8"] = in_scope([] { KEEP(pyattach_to_utf8(eval("'text'"), &text, &size)); });
    all["pyattach_to_bytes"] = in_scope([] { KEEP(pyattach_to_bytes(eval("b'bytes'"), &text, &size)); });
    all["pyattach_from_int64"] = in_scope([=] { KEEP(pyattach_from_int64(1, into())); });
    all["pyattach_from_double"] = in_scope([=] { KEEP(pyattach_from_double(1, into())); });
    all["pyattach_from_bool"] = in_scope([=] { KEEP(pyattach_from_bool(1, into())); });
    all["pyattach_from_utf8"] = in_scope([=] { KEEP(pyattach_from_utf8("text", 4, into())); });
    all["pyattach_from_bytes"] = in_scope([=] { KEEP(pyattach_from_bytes("text", 4, into())); });
    all["pyattach_from_finalizer"] = in_scope([=] { KEEP(pyattach_from_finalizer([](void *) {}, nullptr, into())); });
    all["pyattach_type_of"] = in_scope([=] { KEEP(pyattach_type_of(new_object(), into())); });
    all["pyattach_error_take"] = in_scope([=] {
        EXPECT(pyattach_run("raise ValueError", nullptr, nullptr) == PYATTACH_PYTHON_ERROR);
        KEEP(pyattach_error_take(into()));
        ref taken = std::move(*result);
        KEEP(pyattach_error_matches(taken, eval("ValueError"), &flag));
        KEEP(pyattach_error_restore(taken.release()));
        pyattach_error_clear();
    });
    all["pyattach_error_restore"] = all["pyattach_error_matches"] = all["pyattach_error_take"];
    // A process that was forked with Python's hooks; without them: process/fork_daemon_test.
    ROW(forked, KEEP(pyattach_forked()));
    ROW(fork, long long pid = -1; EXPECT(KEEP(pyattach_fork(&pid)) == PYATTACH_OK); if (pid == 0) end_child());
    // Last, with an exit callback and an atexit function that spoil errno.
    ROW(interpreter_stop, EXPECT(KEEP(pyattach_interpreter_stop()) == PYATTACH_OK); KEEP(pyattach_interpreter_stop()));
#undef KEEP
#undef KEEP_VOID
#undef ROW
    return all;
}

} // namespace
