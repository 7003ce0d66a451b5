// The first steps of Py_FinalizeEx, which can still be left, and what a caller checks before them.
#include "cpython/finalize.hpp"

#include <initializer_list>

#include "cpython/guarded.hpp"
#include "cpython/module.hpp"

namespace pyattach::cpython {
namespace {

// Calls obj.name(). False: there is no such method, or it raised; leaves an exception.
bool call_method(object *obj, const char *name) {
    const table &py = python();
    object *method = py.get_attribute(obj, name);
    object *arguments = method ? py.tuple_new(0) : nullptr;
    object *result = arguments ? py.call_object(method, arguments, nullptr) : nullptr;
    for (object *reference : {result, arguments, method})
        py.decref(reference);
    return result != nullptr;
}

// Joins Python's own threads, except daemon threads.
void shut_down_threading() {
    const table &py = python();
    object *threading = loaded_module("threading");
    if (!threading)
        return;
    // An exception, such as that of Ctrl-C, ends the wait and is reported. Py_FinalizeEx does the same.
    if (!call_method(threading, "_shutdown"))
        py.error_unraisable(threading);
    // Py_FinalizeEx calls _shutdown a second time. That does nothing, with one exception: up to 3.12, where a thread
    // other than the main thread has imported `threading`, it would call these callbacks a second time.
    if (object *callbacks = py.get_attribute(threading, "_threading_atexits")) {
        call_method(callbacks, "clear");
        py.decref(callbacks);
    }
    py.error_clear();
}

// Exit callbacks that are registered while they run are accepted and never called. CPython has no flag for that phase.
// It begins when `threading` is shutting down and all non-daemon threads except the main one have ended.
bool are_exit_callbacks_running() {
    const table &py = python();
    object *threading = loaded_module("threading");
    if (!threading || !is_attribute_true(threading, "_SHUTTING_DOWN"))
        return false;
    object *globals = py.module_dict(threading);
    object *code = py.compile("not any(t.is_alive() and not t.daemon and t is not main_thread() for t in enumerate())",
                              "<pyattach>", 258 /* Py_eval_input */);
    object *answer = code ? py.eval_code(code, globals, globals) : nullptr;
    bool is_running = !answer || py.is_true(answer) == 1;
    py.decref(answer);
    py.decref(code);
    py.error_clear();
    return is_running;
}

} // namespace

bool run_exit_functions() noexcept {
    return guarded([] {
        const table &py = python();
        object *atexit = loaded_module("atexit");
        object *run = atexit ? py.get_attribute(atexit, "_run_exitfuncs") : nullptr;
        if (!run) {
            py.error_clear();
            return false;
        }
        py.decref(run);
        shut_down_threading();
        // CPython has printed each exception; up to 3.9 the call raises the last one besides.
        call_method(atexit, "_run_exitfuncs");
        py.error_clear();
        return true;
    });
}

bool is_exit_under_way() noexcept {
    return guarded([] { return are_exit_callbacks_running(); });
}

bool is_below_python() noexcept {
    return guarded([] { return python().frame() != nullptr; });
}

void stop_others_once() noexcept {
    guarded([] {
        const table &py = python();
        // Of the functions that stop the other threads this one runs the least code: it reads their frames.
        object *function = py.sys_object("_current_frames");
        object *arguments = function ? py.tuple_new(0) : nullptr;
        object *frames = arguments ? py.call_object(function, arguments, nullptr) : nullptr;
        py.decref(frames);
        py.decref(arguments);
        py.error_clear();
    });
}

} // namespace pyattach::cpython
