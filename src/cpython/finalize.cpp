// What Py_FinalizeEx does before it can no longer be left, done by hand; and what is to be known before.
#include "cpython/finalize.hpp"

#include <initializer_list>

#include "cpython/cpython.hpp"

namespace pyattach::cpython {
namespace {

// of.name(); false, and an exception: there is no such thing, or it raised.
bool call_method(object *of, const char *name) {
    const table &py = python();
    object *method = py.get_attribute(of, name);
    object *arguments = method ? py.tuple_new(0) : nullptr;
    object *result = arguments ? py.call_object(method, arguments, nullptr) : nullptr;
    for (object *held : {result, arguments, method})
        py.decref(held);
    return result != nullptr;
}

// Joins Python's own threads, all but daemons.
void shut_threading_down() {
    const table &py = python();
    object *threading = loaded_module("threading");
    if (!threading)
        return;
    // An exception, as that of Ctrl-C, ends the wait and is reported: so does Py_FinalizeEx.
    if (!call_method(threading, "_shutdown"))
        py.error_unraisable(threading);
    // Py_FinalizeEx calls _shutdown a second time. That does nothing, except up to 3.12 where another thread than the
    // main one has imported `threading`: there it would call these a second time.
    if (object *callbacks = py.get_attribute(threading, "_threading_atexits")) {
        call_method(callbacks, "clear");
        py.decref(callbacks);
    }
    py.error_clear();
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
        shut_threading_down();
        // Each exception has been printed; up to 3.9 the last one comes back, too.
        call_method(atexit, "_run_exitfuncs");
        py.error_clear();
        return true;
    });
}

bool is_below_python() noexcept {
    return guarded([] { return python().frame() != nullptr; });
}

void stop_others_once() noexcept {
    guarded([] {
        const table &py = python();
        // Of all that stops the other threads this runs the least: it looks at their frames.
        object *look = py.sys_object("_current_frames");
        object *arguments = look ? py.tuple_new(0) : nullptr;
        object *frames = arguments ? py.call_object(look, arguments, nullptr) : nullptr;
        py.decref(frames);
        py.decref(arguments);
        py.error_clear();
    });
}

} // namespace pyattach::cpython
