// Acts: Python code that native threads call, that calls native code, and that runs in destructors.
#include "soak/soak.hpp"
#include "support/plain_python.hpp"
#include "support/python.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"

namespace soak {
namespace {

using support::cpython;

// Looked up each time, and never compiled: each compilation leaves memory behind on free-threaded 3.13.
bool call_python(actor &me) {
    object *main_module = nullptr, *function = nullptr, *result = nullptr;
    pyattach_status status = pyattach_import("__main__", &main_module);
    HOLDS_STATUS(status, status == PYATTACH_OK);
    status = pyattach_get_attribute(main_module, me.one_in(16) ? "fail" : "work", &function);
    pyattach_decref(main_module);
    if (status != PYATTACH_OK) { // a sub-interpreter, or a life that has only just begun
        HOLDS_STATUS(status, status == PYATTACH_PYTHON_ERROR);
        pyattach_error_clear();
        return true;
    }
    status = pyattach_call(function, nullptr, 0, &result);
    pyattach_decref(function);
    pyattach_decref(result);
    HOLDS_STATUS(status, status == PYATTACH_OK || status == PYATTACH_PYTHON_ERROR);
    if (status != PYATTACH_OK) {
        char text[100];
        HOLDS(pyattach_error_message(text, sizeof text) > 0);
        me.has_error = me.one_in(4) && me.depth == 1;
        if (me.has_error)
            return true; // reported at the end of the scope
        pyattach_error_clear();
    }
    return true;
}

// Code that uses PyGILState without the library.
// Up to 3.11 PyGILState_Ensure deadlocks on a thread that is in a sub-interpreter and has a state of the main one.
bool may_use_gilstate(const actor &me) { return !me.is_in_sub; }
bool use_gilstate(actor &me) {
    support::foreign_attach foreign;
    HOLDS(pyattach_is_attached());
    (void)call_python(me);
    pyattach_error_clear();
    return true;
}

bool save_thread(actor &me) {
    support::foreign_detach foreign;
    HOLDS(!pyattach_is_attached());
    pause_us(me.below(100));
    me.give_one_back();
    return true;
}

bool convert(actor &me) {
    object *number = nullptr, *text = nullptr;
    std::int64_t value = 0;
    const std::int64_t given = std::int64_t(me.below(1000000000)) - 500000000;
    HOLDS(pyattach_from_int64(given, &number) == PYATTACH_OK);
    HOLDS(pyattach_str(number, &text) == PYATTACH_OK);
    HOLDS(pyattach_to_int64(number, &value) == PYATTACH_OK && value == given);
    pyattach_decref(text);
    pyattach_decref_in(pyattach_interpreter_current(), number);
    return true;
}

// --- Destructors that use the library
// ---------------------------------------------------------------------------------

void busy_death(object *) {
    ++on_stage().objects_died;
    pyattach_attached scope;
    const pyattach_status status = pyattach_attached_begin(&scope);
    HOLDS_STATUS(status, status == PYATTACH_OK || is_refusal(status));
    if (status != PYATTACH_OK)
        return;
    object *number = nullptr; // an exception may be pending, and a deallocator may not clear it
    HOLDS(pyattach_from_int64(987654321, &number) == PYATTACH_OK);
    pyattach_decref(number);
    pyattach_attached_end(&scope);
}

// Detaches, as a destructor that joins a thread or closes a file does.
void slow_death(object *) {
    ++on_stage().objects_died;
    pyattach_detached gap;
    if (on_stage().is_ending || pyattach_detached_begin(&gap) != PYATTACH_OK)
        return;
    pause_us(20);
    if (pyattach_detached_end(&gap) != PYATTACH_OK) {
        // Python frames are on the stack.
        actor me("destructor", 0);
        park(me);
    }
}

// Up to 3.11 nothing says that a thread is attached to the sub-interpreter that other code ends on it: a destructor
// that runs there and attaches waits for the GIL that its own thread holds.
bool may_make_busy_objects(const actor &me) { return !me.is_in_sub || support::sees_switches(); }

bool make_busy_objects(actor &me) {
    static auto *const make = cpython<object *(void *, const char *, void (*)(object *))>("PyCapsule_New");
    object *made = make(&on_stage(), "soak", me.one_in(2) ? busy_death : slow_death);
    HOLDS(made);
    ++on_stage().objects_made;
    me.keep(made);
    return true;
}

// --- Threads of Python's own
// ------------------------------------------------------------------------------------------

void called_from_python() {
    actor me("Python's thread", on_stage().acts);
    pyattach_detached gap;
    object *made = new_object();
    pyattach_interpreter *const here = pyattach_interpreter_current();
    HOLDS(pyattach_detached_begin(&gap) == PYATTACH_OK);
    pyattach_decref_in(here, made);
    pause_us(50);
    --on_stage().actors_alive; // it may be parked here
    const pyattach_status status = pyattach_detached_end(&gap);
    ++on_stage().actors_alive;
    HOLDS_STATUS(status, status == PYATTACH_OK);
    pyattach_attached scope;
    if (pyattach_attached_begin(&scope) == PYATTACH_OK)
        pyattach_attached_end(&scope);
}

} // namespace

// A daemon thread runs until finalization. After a restart a daemon of the previous generation would continue in freed
// memory, which is a limit of CPython. So there are daemons in the last generation only.
void start_python_threads(actor &me, bool is_last_life) {
    me.note("starts threads of Python's own");
    support::publish("called_from_python", support::native_function(called_from_python));
    support::run("def some_calls():\n"
                 "    for _ in range(40):\n"
                 "        called_from_python()\n"
                 "        sum(range(50))\n"
                 "def calls_for_ever():\n"
                 "    while True: some_calls()\n"
                 "threading.Thread(target=some_calls).start()\n");
    if (is_last_life)
        support::run("threading.Thread(target=calls_for_ever, daemon=True).start()\n");
}

const std::vector<act> python_acts = {
    {"call Python", 16, call_python, always},
    {"PyGILState", 3, use_gilstate, may_use_gilstate},
    {"PyEval_SaveThread", 2, save_thread, always},
    {"convert", 3, convert, always},
    {"make busy objects", 3, make_busy_objects, may_make_busy_objects},
};

} // namespace soak
