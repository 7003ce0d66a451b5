// What the library does with CPython that takes more than one call.
#include "cpython/cpython.hpp"

#include <atomic>
#include <cstdio>
#include <initializer_list>

#include "platform/uncancelled.hpp"

namespace pyattach::cpython {
namespace {

const char kept_name[] = "pyattach.thread_state";
std::atomic<void (*)(void *value) noexcept> cleared_hook{nullptr};

} // namespace

object *loaded_module(const char *name) {
    object *modules = python().sys_object("modules"); // NULL from a certain point of an interpreter's end
    return modules ? python().dict_get(modules, name) : nullptr;
}

bool has_true(object *of, const char *name) {
    const table &py = python();
    object *value = py.get_attribute(of, name);
    bool is_true = value && py.is_true(value) == 1;
    py.decref(value);
    py.error_clear();
    return is_true;
}

void park() noexcept {
    release_own_guards(); // or the end of Python would wait for this thread
    // Not where a thread is cancelled: the frames around it are not to be unwound.
    for (;;)
        sleep_uncancelled(int64_t{3600} * 1000000000);
}

bool keep_in_tstate(void *value, void (*cleared)(void *) noexcept) noexcept {
    kept_error kept;
    return guarded([=] {
        const table &py = python();
        cleared_hook.store(cleared, std::memory_order_relaxed); // always the same
        object *capsule = py.capsule_new(value, kept_name, [](object *dying) {
            cleared_hook.load(std::memory_order_relaxed)(python().capsule_pointer(dying, kept_name));
        });
        if (!capsule) {
            cleared(value);
            py.error_clear();
            return false;
        }
        // Each copy of this library in the process has a key of its own.
        char key[48];
        std::snprintf(key, sizeof key, "%s.%p", kept_name, static_cast<const void *>(kept_name));
        object *dict = py.tstate_dict();
        bool is_kept = dict && py.dict_set(dict, key, capsule) == 0;
        py.error_clear();
        py.decref(capsule);
        return is_kept;
    });
}

void destroy_current(thread_state *tstate) noexcept {
    guarded([tstate] {
        python().tstate_clear(tstate);
        python().tstate_delete_current();
    });
}

void destroy_swapped(thread_state *tstate, thread_state *previous) noexcept {
    guarded([=] {
        const table &py = python();
        py.tstate_clear(tstate);
        // Deleting it after swapping away would empty the gilstate_tstate of this thread, attached or not.
        py.tstate_delete_current();
        py.tstate_swap(previous);
    });
}

void empty_free_lists(thread_state *of, thread_state *unused) noexcept {
    guarded([=] {
        const table &py = python();
        thread_state *tstate = py.tstate_swap(of);
        py.tstate_clear(unused);
        py.tstate_delete(unused); // before anything lets a fork in
        py.tstate_swap(tstate);
    });
}

bool is_usable() noexcept {
    kept_error kept;
    return guarded([] {
        const table &py = python();
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

static bool is_dummy_thread(object *thread) {
    const table &py = python();
    object *threading = loaded_module("threading");
    object *kind = threading ? py.get_attribute(threading, "_DummyThread") : nullptr;
    const bool is = kind && py.is_instance(thread, kind) == 1;
    py.decref(kind);
    return is;
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
        py.error_clear(); // what stands for `threading` is not a module, or what it holds is no dict
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

void report_unraisable() noexcept {
    guarded([] { python().error_unraisable(nullptr); });
}

bool check_signals_quietly() noexcept {
    kept_error kept;
    return guarded([] {
        const table &py = python();
        bool drain_disabled = py.check_signals() == 0;
        if (!drain_disabled)
            py.error_unraisable(nullptr);
        return drain_disabled;
    });
}

void warn(const char *message) noexcept {
    kept_error kept;
    guarded([message] {
        const table &py = python();
        if (py.error_warn(*py.runtime_warning, message, 1) < 0)
            py.error_unraisable(nullptr);
    });
}

} // namespace pyattach::cpython