// The first steps of Py_FinalizeEx, which can still be left, and what a caller checks before them.
#include "cpython/finalize.hpp"

#include <initializer_list>

#include "cpython/guarded.hpp"
#include "cpython/interp_dict.hpp"
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

// Calls the atexit callbacks that are older than the exit hook of this library, which is bound to the capsule `self`.
//
// atexit has a function that calls all callbacks and then empties its list. CPython's own loop, from which the hook is
// called, goes on with an empty list. But the function begins with the newest callback, and those that are newer than
// the hook have been called. So they are taken off the list first, with the hook itself. atexit.unregister compares its
// argument with each callback, the oldest first, and takes off those that are equal: an object that answers the
// comparison sees them in order, and says "equal" from the hook on. (What was registered since the exit began is taken
// off as well. CPython would never call it.)
//
// The first pass only counts how often the hook is registered, which is twice if a first attempt to register failed
// half way. The newest one is called first, and stands for all. If the hook is not in the list, it was called by hand.
//
// A callback whose own comparison answers before the object is asked is not seen. Functions and methods do not, and
// callable objects only if their __eq__ returns something else than NotImplemented for an object that it does not know.
// Such a callback is taken for an older one.
constexpr const char *take_newer_off = R"(
class Comparand:
    __hash__ = None
    def __init__(self, first_equal):
        self.first_equal = first_equal
        self.hooks = 0
    def __eq__(self, callback):
        self.hooks += type(callback) is type(len) and callback.__self__ is hook_self
        return self.hooks >= self.first_equal
count = Comparand(float('inf'))
atexit.unregister(count)
is_found = count.hooks > 0
if is_found:
    atexit.unregister(Comparand(count.hooks))
)";

void run_older(object *self) {
    const table &py = python();
    object *atexit = loaded_module("atexit");
    object *builtins = loaded_module("builtins");
    object *globals = atexit && builtins ? py.dict_new() : nullptr;
    const bool is_complete = globals && py.dict_set(globals, "__builtins__", builtins) == 0 &&
                             py.dict_set(globals, "atexit", atexit) == 0 &&
                             py.dict_set(globals, "hook_self", self) == 0;
    object *code = is_complete ? py.compile(take_newer_off, "<pyattach>", 257 /* Py_file_input */) : nullptr;
    object *result = code ? py.eval_code(code, globals, globals) : nullptr;
    object *is_found = result ? py.dict_get(globals, "is_found") : nullptr;
    // The class and its globals are a cycle, which only a collection frees, and the capsule must not wait for that: its
    // destructor says that the interpreter is cleared.
    if (is_complete)
        py.dict_set(globals, "hook_self", py.none);
    if (is_found && py.is_true(is_found) == 1)
        call_method(atexit, "_run_exitfuncs");
    // CPython has printed each exception, as after the other call of _run_exitfuncs.
    py.error_clear();
    for (object *reference : {result, code, globals})
        py.decref(reference);
}

} // namespace

void run_older_exit_functions(interp_state *interp) noexcept {
    if (!python().exit_functions_in_place)
        return;
    guarded([interp] {
        if (object *capsule = record_capsule(interp))
            run_older(capsule);
    });
}

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
