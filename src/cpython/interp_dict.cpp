// What this library keeps in an interpreter's own dict.
#include "cpython/interp_dict.hpp"

#include <cstdio>

#include "cpython/exception.hpp"

namespace pyattach::cpython {
namespace {

const char capsule_name[] = "pyattach.interpreter";
void (*interp_cleared_hook)(void *record) noexcept;

void on_capsule_end(object *capsule) noexcept { interp_cleared_hook(record_in(capsule)); }

// Several copies of this library may be in one process, each with records of its own, so the key contains an address of
// this copy.
struct record_key {
    char text[48];
    record_key() noexcept {
        std::snprintf(text, sizeof text, "%s.%p", capsule_name, static_cast<const void *>(capsule_name));
    }
};

// All copies of this library share this key.
constexpr const char *time_out_key = "pyattach.timed_out_since";

// CPython makes the dict at the first call for it, and without a lock. Of two threads that make this call at the same
// time on a free-threaded Python, one would put its capsule into a dict that the other thread's dict replaces. Then no
// capsule would report the end of the interpreter, and attaching would be refused after the next start of Python. The
// lock is a mutex of CPython's, which detaches a thread that waits for it.
unsigned char dict_lock;

object *dict_of(interp_state *interp) {
    const table &py = python();
    if (!py.free_threaded)
        return py.interpreter_dict(interp);
    py.mutex_lock(&dict_lock);
    auto unlock = [&py]() noexcept { py.mutex_unlock(&dict_lock); }; // needs no tstate
    object *dict = guarded([&py, interp] { return py.interpreter_dict(interp); }, unlock);
    unlock();
    return dict;
}

} // namespace

object *record_capsule(interp_state *interp) {
    object *dict = dict_of(interp);
    return dict ? python().dict_get(dict, record_key().text) : nullptr;
}

void *record_in(object *capsule) noexcept { return python().capsule_pointer(capsule, capsule_name); }

void *attached_record(interp_state *interp) noexcept {
    return guarded([interp] {
        object *capsule = record_capsule(interp);
        return capsule ? record_in(capsule) : nullptr;
    });
}

bool attach_record(interp_state *interp, void *record, void (*is_cleared)(void *record) noexcept) noexcept {
    kept_error kept;
    return guarded([=] {
        const table &py = python();
        interp_cleared_hook = is_cleared;
        object *dict = dict_of(interp);
        object *capsule = dict ? py.capsule_new(record, capsule_name, on_capsule_end) : nullptr;
        const bool is_stored = capsule && py.dict_set(dict, record_key().text, capsule) == 0;
        // A capsule that could not be stored is leaked: its destructor would report the end of the interpreter.
        if (is_stored)
            py.decref(capsule);
        else
            py.error_clear();
        return is_stored;
    });
}

int64_t timed_out_since(interp_state *interp) noexcept {
    return guarded([interp]() -> int64_t {
        object *dict = dict_of(interp);
        object *since = dict ? python().dict_get(dict, time_out_key) : nullptr;
        return since ? python().long_as_int64(since) : 0;
    });
}

void note_time_out(interp_state *interp, int64_t since) noexcept {
    kept_error kept;
    guarded([=] {
        const table &py = python();
        object *dict = dict_of(interp);
        object *number = dict ? py.long_from_int64(since) : nullptr;
        if (!number || py.dict_set(dict, time_out_key, number) != 0)
            py.error_clear(); // then the time limits of the copies add up
        py.decref(number);
    });
}

void restart_interp_dicts() noexcept { dict_lock = 0; }

} // namespace pyattach::cpython
