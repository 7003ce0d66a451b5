// The border: the C face on one side, the machine on the other, in the order of the headers. No decisions here.
#include "objects/call.hpp"
#include "objects/error_message.hpp"
#include "lifecycle/exit.hpp"
#include "lifecycle/exit_callback.hpp"
#include "base/diagnostics.hpp"
#include "scopes/forked.hpp"
#include "platform/kept_errno.hpp"
#include "opaque.hpp"
#include "objects/exception.hpp"
#include "host/start.hpp"
#include "base/status.hpp"
#include "host/stop.hpp"
#include "objects/type.hpp"
#include "tstate/warm_state.hpp"

using namespace pyattach;

extern "C" {

// --- base.h
const char *pyattach_status_message(pyattach_status status) { return message_of(status); }
unsigned pyattach_version(void) { return PYATTACH_VERSION; }
void pyattach_set_message_handler(void (*handler)(const char *, void *), void *arg) {
    set_message_handler(handler, arg);
}

// --- interpreter.h
pyattach_status pyattach_python_load(const char *path) { return cpython::load(path); }
pyattach_status pyattach_python_describe(pyattach_python *out) {
    const kept_errno kept;
    return cpython::describe(out);
}
pyattach_interpreter *pyattach_interpreter_main(void) {
    const kept_errno kept;
    return to_handle(attached::main());
}
pyattach_interpreter *pyattach_interpreter_current(void) {
    const kept_errno kept;
    return to_handle(attached::current());
}
pyattach_status pyattach_interpreter_start(void) {
    const kept_errno kept;
    return start(nullptr);
}
pyattach_status pyattach_interpreter_start_with(const pyattach_start_options *options) {
    const kept_errno kept;
    return start(options);
}
pyattach_status pyattach_interpreter_stop(void) {
    const kept_errno kept;
    return stop();
}
void pyattach_set_exit_timeout(long long timeout_ns) { set_exit_timeout(timeout_ns); }
pyattach_status pyattach_exit_callback_add(pyattach_interpreter *where, pyattach_exit_callback callback, void *arg) {
    const kept_errno kept;
    return add_exit_callback(from_handle(where), callback, arg, nullptr);
}
pyattach_status pyattach_exit_callback_add_with(pyattach_interpreter *where, pyattach_exit_callback callback, void *arg,
                                                const pyattach_exit_callback_options *options) {
    const kept_errno kept;
    return add_exit_callback(from_handle(where), callback, arg, options);
}
pyattach_status pyattach_exit_callback_remove(pyattach_interpreter *where, pyattach_exit_callback callback, void *arg) {
    const kept_errno kept;
    return remove_exit_callback(from_handle(where), callback, arg);
}

// --- attached.h
pyattach_status pyattach_attached_begin(pyattach_attached *scope) {
    return scope ? attached::begin(in<attached_scope>(scope)) : PYATTACH_INVALID;
}
pyattach_status pyattach_attached_begin_in(pyattach_attached *scope, pyattach_interpreter *where) {
    return scope && where ? attached::begin_in(in<attached_scope>(scope), *from_handle(where)) : PYATTACH_INVALID;
}
pyattach_status pyattach_attached_begin_unchecked(pyattach_attached *scope) {
    return scope ? attached::begin_unchecked(in<attached_scope>(scope)) : PYATTACH_INVALID;
}
pyattach_status pyattach_attached_assume(pyattach_attached *scope) {
    return scope ? attached::assume(in<attached_scope>(scope)) : PYATTACH_INVALID;
}
void pyattach_attached_end(pyattach_attached *scope) {
    if (scope)
        attached::end(in<attached_scope>(scope));
}
int pyattach_is_attached(void) { return attached::is_attached(); }
int pyattach_attach_depth(void) { return attached::depth(); }

// --- detached.h
pyattach_status pyattach_detached_begin(pyattach_detached *scope) {
    return scope ? detached::begin(in<detached_scope>(scope)) : PYATTACH_INVALID;
}
pyattach_status pyattach_detached_end(pyattach_detached *scope) {
    return scope ? detached::end(in<detached_scope>(scope)) : PYATTACH_INVALID;
}

// --- forbidden.h
void pyattach_forbidden_begin(pyattach_forbidden *scope) {
    if (scope)
        forbidden::begin(in<forbidden_scope>(scope));
}
void pyattach_forbidden_end(pyattach_forbidden *scope) {
    if (scope)
        forbidden::end(in<forbidden_scope>(scope));
}
int pyattach_is_forbidden(void) { return this_thread.forbidden != 0; }

// --- fork.h
pyattach_status pyattach_fork(long long *pid) { return forked::fork(pid); }
pyattach_status pyattach_forked(void) {
    const kept_errno kept;
    return forked::forked();
}

// --- pool.h
pyattach_status pyattach_incref(struct _object *reference) { return take_reference(reference); }
void pyattach_decref(struct _object *reference) { decref(reference, nullptr); }
void pyattach_decref_in(pyattach_interpreter *owner, struct _object *reference) {
    decref(reference, from_handle(owner));
}
pyattach_status pyattach_pool_drain(void) {
    const kept_errno kept;
    return drain_current();
}
size_t pyattach_pool_size(void) {
    const kept_errno kept;
    return waiting();
}
void pyattach_set_drain_budget(size_t objects) { set_drain_budget(objects); }

// --- warm_state.h
void pyattach_set_thread_policy(pyattach_thread_policy policy) { warm_state::set_policy(policy); }
pyattach_status pyattach_thread_release(void) {
    const kept_errno kept;
    return warm_state::release();
}

// --- mutex.h
void pyattach_mutex_lock(pyattach_mutex *one) {
    if (one)
        mutex::lock(in<mutex_storage>(one));
}
int pyattach_mutex_try_lock(pyattach_mutex *one) { return one && mutex::try_lock(in<mutex_storage>(one)); }
void pyattach_mutex_unlock(pyattach_mutex *one) {
    if (one)
        mutex::unlock(in<mutex_storage>(one));
}
int pyattach_mutex_is_locked(pyattach_mutex *one) { return one && mutex::is_locked(in<mutex_storage>(one)); }

// --- critical_section.h
pyattach_status pyattach_critical_section_begin(pyattach_critical_section *scope, struct _object *one) {
    return scope ? critical_section::begin(in<section_scope>(scope), one) : PYATTACH_INVALID;
}
pyattach_status pyattach_critical_section_begin2(pyattach_critical_section *scope, struct _object *one,
                                                 struct _object *two) {
    return scope ? critical_section::begin(in<section_scope>(scope), one, two) : PYATTACH_INVALID;
}
pyattach_status pyattach_critical_section_begin_mutex(pyattach_critical_section *scope, pyattach_mutex *one) {
    return scope ? critical_section::begin(in<section_scope>(scope), reinterpret_cast<mutex_storage *>(one))
                 : PYATTACH_INVALID;
}
pyattach_status pyattach_critical_section_begin_mutex2(pyattach_critical_section *scope, pyattach_mutex *one,
                                                       pyattach_mutex *two) {
    return scope ? critical_section::begin(in<section_scope>(scope), reinterpret_cast<mutex_storage *>(one),
                                           reinterpret_cast<mutex_storage *>(two))
                 : PYATTACH_INVALID;
}
void pyattach_critical_section_end(pyattach_critical_section *scope) {
    if (scope)
        critical_section::end(in<section_scope>(scope));
}

// --- once.h
pyattach_status pyattach_once_run(pyattach_once *one, pyattach_status (*init)(void *), void *arg) {
    return one && init ? once::run(in<once_storage>(one), init, arg) : PYATTACH_INVALID;
}

// --- call.h
pyattach_status pyattach_eval(const char *code, struct _object *globals, struct _object *locals,
                              struct _object **result) {
    const kept_errno kept;
    return call::eval(code, globals, locals, result);
}
pyattach_status pyattach_run(const char *code, struct _object *globals, struct _object *locals) {
    const kept_errno kept;
    return call::run(code, globals, locals);
}
pyattach_status pyattach_import(const char *name, struct _object **result) {
    const kept_errno kept;
    return call::import(name, result);
}
pyattach_status pyattach_check_signals(void) {
    const kept_errno kept;
    return call::check_signals();
}
pyattach_status pyattach_get_attribute(struct _object *of, const char *name, struct _object **result) {
    const kept_errno kept;
    return call::get_attribute(of, name, result);
}
pyattach_status pyattach_set_attribute(struct _object *of, const char *name, struct _object *value) {
    const kept_errno kept;
    return call::set_attribute(of, name, value);
}
pyattach_status pyattach_call(struct _object *callable, struct _object *const *args, size_t nargs,
                              struct _object **result) {
    const kept_errno kept;
    return call::call(callable, args, nargs, result);
}
pyattach_status pyattach_to_int64(struct _object *from, int64_t *value) {
    const kept_errno kept;
    return call::to_int64(from, value);
}
pyattach_status pyattach_to_double(struct _object *from, double *value) {
    const kept_errno kept;
    return call::to_double(from, value);
}
pyattach_status pyattach_to_bool(struct _object *from, int *value) {
    const kept_errno kept;
    return call::to_bool(from, value);
}
pyattach_status pyattach_to_utf8(struct _object *from, const char **text, size_t *size) {
    const kept_errno kept;
    return call::to_utf8(from, text, size);
}
pyattach_status pyattach_to_bytes(struct _object *from, const char **data, size_t *size) {
    const kept_errno kept;
    return call::to_bytes(from, data, size);
}
pyattach_status pyattach_from_int64(int64_t value, struct _object **result) {
    const kept_errno kept;
    return call::from_int64(value, result);
}
pyattach_status pyattach_from_double(double value, struct _object **result) {
    const kept_errno kept;
    return call::from_double(value, result);
}
pyattach_status pyattach_from_bool(int value, struct _object **result) {
    const kept_errno kept;
    return call::from_bool(value, result);
}
pyattach_status pyattach_from_utf8(const char *text, size_t size, struct _object **result) {
    const kept_errno kept;
    return call::from_utf8(text, size, result);
}
pyattach_status pyattach_from_bytes(const char *data, size_t size, struct _object **result) {
    const kept_errno kept;
    return call::from_bytes(data, size, result);
}
pyattach_status pyattach_str(struct _object *of, struct _object **result) {
    const kept_errno kept;
    return call::str(of, result);
}
pyattach_status pyattach_repr(struct _object *of, struct _object **result) {
    const kept_errno kept;
    return call::repr(of, result);
}
size_t pyattach_error_message(char *buffer, size_t size) {
    const kept_errno kept;
    return call::error_message(buffer, size);
}
void pyattach_error_clear(void) {
    const kept_errno kept;
    call::error_clear();
}
pyattach_status pyattach_type_of(struct _object *of, struct _object **type) {
    const kept_errno kept;
    return call::type_of(of, type);
}
pyattach_status pyattach_is_instance(struct _object *one, struct _object *type, int *answer) {
    const kept_errno kept;
    return call::is_instance(one, type, answer);
}
pyattach_status pyattach_is_subclass(struct _object *derived, struct _object *base, int *answer) {
    const kept_errno kept;
    return call::is_subclass(derived, base, answer);
}
pyattach_status pyattach_error_take(struct _object **exception) {
    const kept_errno kept;
    return call::error_take(exception);
}
pyattach_status pyattach_error_restore(struct _object *exception) {
    const kept_errno kept;
    return call::error_restore(exception);
}
pyattach_status pyattach_error_matches(struct _object *exception, struct _object *type, int *answer) {
    const kept_errno kept;
    return call::error_matches(exception, type, answer);
}

// --- stats.h
void pyattach_stats_get(pyattach_stats *out) {
    const kept_errno kept;
    get_stats(out);
}

} // extern "C"
