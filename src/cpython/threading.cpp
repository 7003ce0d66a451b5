// The module `threading`: importing it without claiming the main thread, and its dict of threads.
#include "cpython/threading.hpp"

#include <cstring>
#include <initializer_list>

#include "cpython/exception.hpp"
#include "cpython/module.hpp"
#include "cpython/tstate.hpp"
#include "platform/native_thread.hpp"

namespace pyattach::cpython {
namespace {

struct helper_argument {
    interp_state *interp;
    void (*on_start)() noexcept;
};

// Imports `threading` on the helper thread, with a tstate that lives as long as that thread.
void *import_threading_on_helper(void *argument) noexcept {
    const table &py = python();
    const auto &helper = *static_cast<const helper_argument *>(argument);
    thread_state *tstate = new_tstate(helper.interp);
    if (!tstate)
        return nullptr;
    helper.on_start();
    restore(tstate);
    object *module = guarded([&py] {
        object *imported = py.import_module("threading");
        py.decref(imported);
        py.error_clear();
        return imported;
    });
    destroy_current(tstate);
    return module; // no longer a reference; NULL: the import failed
}

bool is_dummy_thread(object *thread) {
    const table &py = python();
    object *threading = loaded_module("threading");
    object *type = threading ? py.get_attribute(threading, "_DummyThread") : nullptr;
    const bool is_dummy = type && py.is_instance(thread, type) == 1;
    py.decref(type);
    return is_dummy;
}

} // namespace

bool import_threading(interp_state *interp, void (*on_helper_start)() noexcept) {
    const table &py = python();
    if (loaded_module("threading"))
        return true;
    // The first tstate of an interpreter is that of its main thread. Had another thread imported `threading`,
    // finalization would wait for that thread as long as its tstate is kept.
    if (!py.importing_threading_claims_main || py.tstate_id(py.current()) == 1) {
        object *module = py.import_module("threading");
        py.decref(module);
        return module != nullptr;
    }
    helper_argument argument = {interp, on_helper_start};
    thread_state *tstate = py.save();
    void *imported = run_on_helper(import_threading_on_helper, &argument);
    py.restore(tstate);
    return imported != nullptr;
}

object *threading_active() noexcept {
    kept_error kept;
    return guarded([] {
        const table &py = python();
        object *threading = loaded_module("threading");
        object *globals = threading ? py.module_dict(threading) : nullptr;
        object *active = globals ? py.dict_get(globals, "_active") : nullptr;
        if (active && py.dict_size(active) < 0)
            active = nullptr;
        if (active)
            py.incref(active);
        py.error_clear(); // the entry `threading` of sys.modules is not a module, or its `_active` is not a dict
        return active;
    });
}

bool has_thread(object *threading_active, unsigned long ident) noexcept {
    kept_error kept;
    return guarded([=] {
        const table &py = python();
        object *number = py.long_from_int64(static_cast<long long>(ident));
        const int is_there = number ? py.dict_contains(threading_active, number) : -1;
        object *found = is_there == 1 ? py.get_item(threading_active, number) : nullptr;
        const bool has = is_there != 0 && !(found && is_dummy_thread(found));
        py.error_clear();
        py.decref(found);
        py.decref(number);
        return has;
    });
}

void forget_same_ident(object *threading_active) noexcept {
    kept_error kept;
    guarded([threading_active] {
        const table &py = python();
        object *number = py.long_from_int64(static_cast<long long>(py.thread_ident()));
        if (number && py.dict_contains(threading_active, number) == 1) {
            object *found = py.get_item(threading_active, number);
            if (found && is_dummy_thread(found))
                py.del_item(threading_active, number);
            py.decref(found);
        }
        py.error_clear();
        py.decref(number);
    });
}

// An import here could make this thread the main one (see import_threading), and is not needed: each interpreter
// imports `threading` when the exit hook is registered.
void name_current_thread(const char *name) noexcept {
    kept_error kept;
    guarded([name] {
        const table &py = python();
        object *threading = loaded_module("threading");
        if (!threading)
            return py.error_clear();
        object *current_thread = py.get_attribute(threading, "current_thread");
        object *no_arguments = current_thread ? py.tuple_new(0) : nullptr;
        object *thread = no_arguments ? py.call_object(current_thread, no_arguments, nullptr) : nullptr;
        // The system cuts a name off after 15 bytes, also inside a character.
        object *text =
            thread ? py.str_decode_utf8(name, static_cast<ptrdiff_t>(std::strlen(name)), "replace") : nullptr;
        if (!text || py.set_attribute(thread, "name", text) != 0)
            py.error_unraisable(current_thread);
        for (object *reference : {text, thread, no_arguments, current_thread})
            py.decref(reference);
    });
}

} // namespace pyattach::cpython
