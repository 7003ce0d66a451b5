// What CPython calls back: our record's end, the interpreter's exit, what is around a fork.
#include "cpython/cpython.hpp"

#include <atomic>
#include <cstdio>
#include <initializer_list>
#include <utility>

#include "cpython/finalize.hpp"
#include "platform/native_thread.hpp"

namespace pyattach::cpython {
namespace {

// PyMethodDef; every version has these four fields.
struct method {
    const char *name;
    object *(*function)(object *self, object *unused);
    int flags;
    const char *doc;
};
constexpr int takes_no_arguments = 4;

const char capsule_name[] = "pyattach.interpreter";
callbacks hooks;
void (*interp_cleared_hook)(void *record) noexcept;

object *new_none() noexcept {
    python().incref(python().none);
    return python().none;
}

object *on_exit(object *self, object *) noexcept {
    hooks.closing(python().capsule_pointer(self, capsule_name));
    return new_none();
}

void on_capsule_end(object *capsule) noexcept { interp_cleared_hook(python().capsule_pointer(capsule, capsule_name)); }

unsigned char dict_lock; // see dict_of

object *on_fork_begin(object *, object *) noexcept {
    hooks.fork_begins();
    return new_none();
}

object *on_fork_end(object *, object *) noexcept {
    hooks.fork_ended();
    return new_none();
}

object *on_fork(object *, object *) noexcept {
    dict_lock = 0; // whoever held it is not here
    hooks.forked();
    return new_none();
}

method exit_method = {"pyattach_close", on_exit, takes_no_arguments, "Refuse, wake and await native threads."};
method fork_begin_method = {"pyattach_before_fork", on_fork_begin, takes_no_arguments, "Let thread states be made."};
method fork_end_method = {"pyattach_after_fork_in_parent", on_fork_end, takes_no_arguments, "Let them begin."};
method fork_method = {"pyattach_after_fork", on_fork, takes_no_arguments, "Let threads attach in the child."};

// Several copies of this library may live in one process, each with records of its own: the key names the copy.
struct key {
    char text[48];
    key() noexcept { std::snprintf(text, sizeof text, "%s.%p", capsule_name, static_cast<const void *>(capsule_name)); }
};

// CPython makes the dict when it is first asked for, and does so without a lock: of two threads that meet a
// free-threaded interpreter at once, one would put its capsule into a dict that the other's replaces. Then nobody says
// when the interpreter is gone, and its next life is refused. A mutex of CPython's detaches whoever waits for it.
object *dict_of(interp_state *interpreter) {
    const table &py = python();
    if (!py.free_threaded)
        return py.interpreter_dict(interpreter);
    py.mutex_lock(&dict_lock);
    auto unlock = [&py]() noexcept { py.mutex_unlock(&dict_lock); }; // for which no thread state is needed
    object *dict = guarded([&py, interpreter] { return py.interpreter_dict(interpreter); }, unlock);
    unlock();
    return dict;
}

object *capsule_of(interp_state *interpreter) {
    object *dict = dict_of(interpreter);
    return dict ? python().dict_get(dict, key().text) : nullptr;
}

struct argument {
    const char *keyword; // NULL: the first one by position
    method &callback;
};

// module.function(callback, ...).
bool register_with(const char *module_name, const char *function_name, object *self,
                   std::initializer_list<argument> arguments) {
    const table &py = python();
    object *module = py.import_module(module_name);
    object *function = module ? py.get_attribute(module, function_name) : nullptr;
    bool is_positional = !arguments.begin()->keyword;
    object *positional = function ? py.tuple_new(is_positional ? 1 : 0) : nullptr;
    object *keywords = positional && !is_positional ? py.dict_new() : nullptr;
    bool is_complete = positional && (is_positional || keywords);
    for (const argument &one : arguments) {
        object *callable = is_complete ? py.function_new(&one.callback, self, nullptr) : nullptr;
        if (!callable)
            is_complete = false;
        else if (!is_positional)
            is_complete = py.dict_set(keywords, one.keyword, callable) == 0;
        else
            is_complete = py.tuple_set(positional, 0, std::exchange(callable, nullptr)) == 0; // which takes it over
        py.decref(callable);
    }
    object *result = is_complete ? py.call_object(function, positional, keywords) : nullptr;
    for (object *obj : {result, keywords, positional, function, module})
        py.decref(obj);
    return result != nullptr;
}

// Imports `threading` on a thread that ends with it.
void *import_threading_here(void *interpreter) noexcept {
    const table &py = python();
    thread_state *tstate = new_tstate(static_cast<interp_state *>(interpreter));
    if (!tstate)
        return nullptr;
    hooks.helps();
    restore(tstate);
    object *module = guarded([&py] {
        object *imported = py.import_module("threading");
        py.decref(imported);
        py.error_clear();
        return imported;
    });
    destroy_current(tstate);
    return module; // only whether there was one
}

// `threading` takes its first importer for the main thread up to 3.12, and waits at exit for that thread's state. The
// main thread imports it plainly. Any other one would be waited for as long as its state is kept, so a thread made for
// the purpose does it.
bool import_threading(interp_state *interpreter) {
    const table &py = python();
    if (loaded_module("threading"))
        return true;
    if (!py.importing_threading_claims_main || py.tstate_id(py.current()) == 1) {
        object *module = py.import_module("threading");
        py.decref(module);
        return module != nullptr;
    }
    thread_state *tstate = py.save();
    void *imported = run_on_helper(import_threading_here, interpreter);
    py.restore(tstate);
    return imported != nullptr;
}

// All at once: a beginning without its end would put new thread states off for ever.
bool register_for_forks() {
    return register_with(
        "posix", "register_at_fork", nullptr,
        {{"before", fork_begin_method}, {"after_in_parent", fork_end_method}, {"after_in_child", fork_method}});
}

// While the exit callbacks run, registering one succeeds, and it never runs. That phase has no mark of its own; it
// begins when `threading` is shutting down and all non-daemon threads but the main one have ended.
bool is_under_way() {
    const table &py = python();
    object *threading = loaded_module("threading");
    if (!threading || !has_true(threading, "_SHUTTING_DOWN"))
        return false;
    object *globals = py.module_dict(threading);
    object *code = py.compile("not any(t.is_alive() and not t.daemon and t is not main_thread() for t in enumerate())",
                              "<pyattach>", 258 /* Py_eval_input */);
    object *answer = code ? py.eval_code(code, globals, globals) : nullptr;
    bool is_it = !answer || py.is_true(answer) == 1;
    py.decref(answer);
    py.decref(code);
    py.error_clear();
    return is_it;
}

} // namespace

bool is_exit_under_way() noexcept {
    return guarded([] { return is_under_way(); });
}

void *attached_record(interp_state *interpreter) noexcept {
    return guarded([interpreter] {
        object *capsule = capsule_of(interpreter);
        return capsule ? python().capsule_pointer(capsule, capsule_name) : nullptr;
    });
}

bool attach_record(interp_state *interpreter, void *record, void (*is_cleared)(void *record) noexcept) noexcept {
    kept_error kept;
    return guarded([=] {
        const table &py = python();
        interp_cleared_hook = is_cleared;
        object *dict = dict_of(interpreter);
        object *capsule = dict ? py.capsule_new(record, capsule_name, on_capsule_end) : nullptr;
        bool kept_there = capsule && py.dict_set(dict, key().text, capsule) == 0;
        // One that is not kept is leaked: its end would say that the interpreter is gone.
        if (kept_there)
            py.decref(capsule);
        else
            py.error_clear();
        return kept_there;
    });
}

// Once a life, by the main interpreter; CPython has 32 places, and if they are taken, nothing is to be expected.
static void expect_end(interp_state *interpreter) {
    const table &py = python();
    if (interpreter == py.main_interpreter() && py.at_exit(hooks.ended) == 0)
        hooks.expects_end();
}

hook register_exit_hook(interp_state *interpreter, const callbacks &wanted) noexcept {
    kept_error kept;
    return guarded([&wanted, interpreter] {
        hooks = wanted;
        // A second try after half a success registers a callback twice, and its second call finds nothing to do.
        // Without memory it is not found; a callback without it would crash at exit.
        object *capsule = capsule_of(interpreter);
        bool is_registered = capsule && import_threading(interpreter) &&
                             register_with("atexit", "register", capsule, {{nullptr, exit_method}}) &&
                             register_for_forks();
        python().error_clear();
        if (!is_registered)
            return hook::failed;
        if (is_under_way())
            return hook::too_late;
        expect_end(interpreter);
        return hook::registered;
    });
}

// Not the copy's own key: all copies share it.
constexpr const char *time_out_key = "pyattach.timed_out_since";

int64_t timed_out_since(interp_state *interpreter) noexcept {
    return guarded([interpreter]() -> int64_t {
        object *dict = dict_of(interpreter);
        object *since = dict ? python().dict_get(dict, time_out_key) : nullptr;
        return since ? python().long_as_int64(since) : 0;
    });
}

void note_time_out(interp_state *interpreter, int64_t since) noexcept {
    kept_error kept;
    guarded([=] {
        const table &py = python();
        object *dict = dict_of(interpreter);
        object *number = dict ? py.long_from_int64(since) : nullptr;
        if (!number || py.dict_set(dict, time_out_key, number) != 0)
            py.error_clear(); // then the limits add up
        py.decref(number);
    });
}

} // namespace pyattach::cpython
