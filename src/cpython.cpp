// What the library does with CPython that takes more than one call.
#include "cpython.hpp"

#include <cstdio>
#include <ctime>
#include <unistd.h>

namespace pyattach::cpython {
namespace {

// A borrowed module that has been imported already, else NULL.
object *loaded_module(const char *name) noexcept {
    object *modules = python().modules();
    return modules ? python().dict_get(modules, name) : nullptr;
}

// An attribute's truth; a missing attribute is false.
bool has_true(object *of, const char *name) noexcept {
    const table &py = python();
    object *value = py.get_attribute(of, name);
    bool is_true = value && py.is_true(value) == 1;
    py.decref(value);
    py.error_clear();
    return is_true;
}

// PyMethodDef; every version has these four fields.
struct method {
    const char *name;
    object *(*function)(object *self, object *unused);
    int flags;
    const char *doc;
};
constexpr int takes_no_arguments = 4;

const char capsule_name[] = "pyattach.interpreter";
void (*closing_hook)(void *record);
void (*gone_hook)(void *record);

object *on_exit(object *self, object *) noexcept {
    const table &py = python();
    closing_hook(py.capsule_pointer(self, capsule_name));
    py.incref(py.none);
    return py.none;
}

void on_capsule_end(object *capsule) noexcept { gone_hook(python().capsule_pointer(capsule, capsule_name)); }

method exit_method = {"pyattach_close", on_exit, takes_no_arguments, "Refuse, wake and await native threads."};

// Several copies of this library may live in one process, each with records of its own: the key names the copy.
struct key {
    char text[48];
    key() noexcept { std::snprintf(text, sizeof text, "%s.%p", capsule_name, static_cast<const void *>(capsule_name)); }
};

object *capsule_of(interpreter_state *interpreter) noexcept {
    object *dict = python().interpreter_dict(interpreter);
    return dict ? python().dict_get(dict, key().text) : nullptr;
}

// `threading` takes its first importer for the main thread up to 3.12, and waits at exit for that thread's state. The
// main thread imports it plainly; any other one on a state that is thrown away again.
bool import_threading(interpreter_state *interpreter) noexcept {
    const table &py = python();
    if (loaded_module("threading"))
        return true;
    thread_state *mine = py.current();
    if (!py.importing_threading_claims_main || py.state_id(mine) == 1) {
        object *module = py.import_module("threading");
        py.decref(module);
        return module != nullptr;
    }
    thread_state *scratch = py.state_new(interpreter);
    if (!scratch)
        return false;
    py.state_swap(scratch);
    object *module = py.import_module("threading");
    py.decref(module);
    py.error_clear();
    destroy_swapped(scratch, mine);
    return module != nullptr;
}

} // namespace

void park() noexcept {
    for (;;) {
        timespec long_time = {3600, 0};
        nanosleep(&long_time, nullptr);
    }
}

void destroy_current(thread_state *state) noexcept {
    guarded([state] {
        python().state_clear(state);
        python().state_delete_current();
    });
}

void destroy_swapped(thread_state *state, thread_state *previous) noexcept {
    guarded([=] {
        const table &py = python();
        py.state_clear(state);
        if (py.delete_needs_current) {
            // Deleting it after swapping away would empty the slot of this thread, attached or not.
            py.state_delete_current();
            py.state_swap(previous);
        } else {
            py.state_swap(previous);
            py.state_delete(state);
        }
    });
}

void *attached_record(interpreter_state *interpreter) noexcept {
    object *capsule = capsule_of(interpreter);
    return capsule ? python().capsule_pointer(capsule, capsule_name) : nullptr;
}

bool attach_record(interpreter_state *interpreter, void *record, void (*gone)(void *record)) noexcept {
    // A second capsule would end the first one, which says that the interpreter is gone.
    if (attached_record(interpreter))
        return true;
    return guarded([=] {
        const table &py = python();
        kept_error kept;
        gone_hook = gone;
        object *dict = py.interpreter_dict(interpreter);
        object *capsule = dict ? py.capsule_new(record, capsule_name, on_capsule_end) : nullptr;
        bool kept_there = capsule && py.dict_set(dict, key().text, capsule) == 0;
        if (!kept_there)
            py.error_clear();
        py.decref(capsule);
        return kept_there;
    });
}

hook register_exit_hook(interpreter_state *interpreter, void (*closing)(void *record)) noexcept {
    return guarded([=] {
        const table &py = python();
        kept_error kept;
        closing_hook = closing;
        bool is_registered = false;
        if (import_threading(interpreter)) {
            object *module = py.import_module("atexit");
            object *enlist = module ? py.get_attribute(module, "register") : nullptr;
            object *function = enlist ? py.function_new(&exit_method, capsule_of(interpreter), nullptr) : nullptr;
            object *arguments = function ? py.tuple_new(1) : nullptr;
            if (arguments) {
                py.tuple_set(arguments, 0, function);
                object *result = py.call_object(enlist, arguments, nullptr);
                is_registered = result != nullptr;
                py.decref(result);
                py.decref(arguments);
            } else {
                py.decref(function);
            }
            py.decref(enlist);
            py.decref(module);
        }
        py.error_clear();
        if (!is_registered)
            return hook::failed;
        // During the exit phase registering succeeds, and the callback never runs.
        object *threading = loaded_module("threading");
        return threading && has_true(threading, "_SHUTTING_DOWN") ? hook::too_late : hook::registered;
    });
}

bool is_usable() noexcept {
    return guarded([] {
        const table &py = python();
        kept_error kept;
        object *site = loaded_module("site");
        if (!site) {
            object *sys = loaded_module("sys");
            object *flags = sys ? py.get_attribute(sys, "flags") : nullptr;
            bool without_site = flags && has_true(flags, "no_site");
            py.decref(flags);
            py.error_clear();
            return without_site;
        }
        object *spec = py.get_attribute(site, "__spec__");
        bool is_importing = spec && has_true(spec, "_initializing");
        py.decref(spec);
        py.error_clear();
        return !is_importing;
    });
}

void report_unraisable() noexcept {
    guarded([] { python().error_unraisable(nullptr); });
}

bool signals_are_quiet() noexcept {
    return guarded([] {
        const table &py = python();
        kept_error kept;
        bool quiet = py.check_signals() == 0;
        if (!quiet)
            py.error_unraisable(nullptr);
        return quiet;
    });
}

void warn(const char *message) noexcept {
    guarded([message] {
        const table &py = python();
        kept_error kept;
        if (py.error_warn(*py.runtime_warning, message, 1) < 0)
            py.error_unraisable(nullptr);
    });
}

void *guard_main(bool *refused) noexcept {
    const table &py = python();
    *refused = false;
    if (!py.view_main || !py.guard_from_view || !py.guard_close || !py.view_close)
        return nullptr;
    void *view = py.view_main();
    void *guard = view ? py.guard_from_view(view) : nullptr;
    *refused = view && !guard;
    if (view)
        py.view_close(view);
    return guard;
}

void release_guard(void *guard) noexcept {
    if (guard)
        python().guard_close(guard);
}

} // namespace pyattach::cpython
