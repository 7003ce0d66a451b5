// The ABI boundary: each function of the C API, in the order of the headers, calls src/. Nothing is decided here but
// that NULL is refused or ignored. `keeps` restores errno. Each contract is at the declaration.
#include "call.hpp"
#include "error_message.hpp"
#include "exit.hpp"
#include "exit_callback.hpp"
#include "fatal.hpp"
#include "forked.hpp"
#include "kept_errno.hpp"
#include "opaque.hpp"
#include "raised.hpp"
#include "start.hpp"
#include "status.hpp"
#include "stop.hpp"
#include "type.hpp"
#include "warm_state.hpp"

using namespace pyattach;

extern "C" {

// --- base.h
const char *pyattach_status_message(pyattach_status status) { return message_of(status); }
unsigned pyattach_version(void) { return PYATTACH_VERSION; }
void pyattach_set_message_handler(void (*handler)(const char *message, void *arg), void *arg) {
    set_message_handler(handler, arg);
}

// --- interpreter.h
pyattach_status pyattach_python_load(const char *path) { return cpython::load(path); }
pyattach_status pyattach_python_describe(pyattach_python *out) {
    const kept_errno keeps;
    return cpython::describe(out);
}
pyattach_interpreter *pyattach_interpreter_main(void) {
    const kept_errno keeps;
    return to_handle(attached::main());
}
pyattach_interpreter *pyattach_interpreter_current(void) {
    const kept_errno keeps;
    return to_handle(attached::current());
}
pyattach_status pyattach_interpreter_start(void) {
    const kept_errno keeps;
    return start(nullptr);
}
pyattach_status pyattach_interpreter_start_with(const pyattach_start_options *options) {
    const kept_errno keeps;
    return start(options);
}
pyattach_status pyattach_interpreter_stop(void) {
    const kept_errno keeps;
    return stop();
}
void pyattach_set_exit_timeout(long long timeout_ns) { set_exit_timeout(timeout_ns); }
pyattach_status pyattach_exit_callback_add(pyattach_interpreter *interpreter, pyattach_exit_callback callback,
                                           void *arg) {
    const kept_errno keeps;
    return add_exit_callback(from_handle(interpreter), callback, arg, nullptr);
}
pyattach_status pyattach_exit_callback_add_with(pyattach_interpreter *interpreter, pyattach_exit_callback callback,
                                                void *arg, const pyattach_exit_callback_options *options) {
    const kept_errno keeps;
    return add_exit_callback(from_handle(interpreter), callback, arg, options);
}
pyattach_status pyattach_exit_callback_remove(pyattach_interpreter *interpreter, pyattach_exit_callback callback,
                                              void *arg) {
    const kept_errno keeps;
    return remove_exit_callback(from_handle(interpreter), callback, arg);
}

// --- attached.h
pyattach_status pyattach_attached_begin(pyattach_attached *scope) {
    return scope ? attached::begin(in<attached_scope>(scope)) : PYATTACH_INVALID;
}
pyattach_status pyattach_attached_begin_in(pyattach_attached *scope, pyattach_interpreter *interpreter) {
    return scope && interpreter ? attached::begin_in(in<attached_scope>(scope), *from_handle(interpreter))
                                : PYATTACH_INVALID;
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
    const kept_errno keeps;
    return forked::forked();
}

// --- pool.h
pyattach_status pyattach_incref(struct _object *object) { return take_reference(object); }
void pyattach_decref(struct _object *object) { drop(object, nullptr); }
void pyattach_decref_in(pyattach_interpreter *interpreter, struct _object *object) {
    drop(object, from_handle(interpreter));
}
pyattach_status pyattach_pool_drain(void) {
    const kept_errno keeps;
    return drain_current();
}
size_t pyattach_pool_size(void) {
    const kept_errno keeps;
    return waiting();
}
void pyattach_set_drain_budget(size_t objects) { set_drain_budget(objects); }

// --- warm_state.h
void pyattach_set_thread_policy(pyattach_thread_policy policy) { warm_state::set_policy(policy); }
pyattach_status pyattach_thread_release(void) {
    const kept_errno keeps;
    return warm_state::release();
}

// --- mutex.h
void pyattach_mutex_lock(pyattach_mutex *mutex) {
    if (mutex)
        mutex::lock(in<mutex_storage>(mutex));
}
int pyattach_mutex_try_lock(pyattach_mutex *mutex) { return mutex && mutex::try_lock(in<mutex_storage>(mutex)); }
void pyattach_mutex_unlock(pyattach_mutex *mutex) {
    if (mutex)
        mutex::unlock(in<mutex_storage>(mutex));
}
int pyattach_mutex_is_locked(pyattach_mutex *mutex) { return mutex && mutex::is_locked(in<mutex_storage>(mutex)); }

// --- critical_section.h
pyattach_status pyattach_critical_section_begin(pyattach_critical_section *section, struct _object *object) {
    return section ? critical_section::begin(in<section_scope>(section), object) : PYATTACH_INVALID;
}
pyattach_status pyattach_critical_section_begin2(pyattach_critical_section *section, struct _object *first,
                                                 struct _object *second) {
    return section ? critical_section::begin(in<section_scope>(section), first, second) : PYATTACH_INVALID;
}
pyattach_status pyattach_critical_section_begin_mutex(pyattach_critical_section *section, pyattach_mutex *mutex) {
    return section ? critical_section::begin(in<section_scope>(section), reinterpret_cast<mutex_storage *>(mutex))
                   : PYATTACH_INVALID;
}
pyattach_status pyattach_critical_section_begin_mutex2(pyattach_critical_section *section, pyattach_mutex *first,
                                                       pyattach_mutex *second) {
    return section ? critical_section::begin(in<section_scope>(section), reinterpret_cast<mutex_storage *>(first),
                                             reinterpret_cast<mutex_storage *>(second))
                   : PYATTACH_INVALID;
}
void pyattach_critical_section_end(pyattach_critical_section *section) {
    if (section)
        critical_section::end(in<section_scope>(section));
}

// --- once.h
pyattach_status pyattach_once_run(pyattach_once *once, pyattach_status (*init)(void *arg), void *arg) {
    return once && init ? once::run(in<once_storage>(once), init, arg) : PYATTACH_INVALID;
}

// --- call.h
pyattach_status pyattach_eval(const char *code, struct _object *globals, struct _object *locals,
                              struct _object **result) {
    const kept_errno keeps;
    return call::eval(code, globals, locals, result);
}
pyattach_status pyattach_run(const char *code, struct _object *globals, struct _object *locals) {
    const kept_errno keeps;
    return call::run(code, globals, locals);
}
pyattach_status pyattach_import(const char *name, struct _object **result) {
    const kept_errno keeps;
    return call::import(name, result);
}
pyattach_status pyattach_check_signals(void) {
    const kept_errno keeps;
    return call::check_signals();
}
pyattach_status pyattach_get_attribute(struct _object *object, const char *name, struct _object **result) {
    const kept_errno keeps;
    return call::get_attribute(object, name, result);
}
pyattach_status pyattach_set_attribute(struct _object *object, const char *name, struct _object *value) {
    const kept_errno keeps;
    return call::set_attribute(object, name, value);
}
pyattach_status pyattach_call(struct _object *callable, struct _object *const *args, size_t nargs,
                              struct _object **result) {
    const kept_errno keeps;
    return call::call(callable, args, nargs, result);
}
pyattach_status pyattach_to_int64(struct _object *object, int64_t *value) {
    const kept_errno keeps;
    return call::to_int64(object, value);
}
pyattach_status pyattach_to_double(struct _object *object, double *value) {
    const kept_errno keeps;
    return call::to_double(object, value);
}
pyattach_status pyattach_to_bool(struct _object *object, int *value) {
    const kept_errno keeps;
    return call::to_bool(object, value);
}
pyattach_status pyattach_to_utf8(struct _object *object, const char **text, size_t *size) {
    const kept_errno keeps;
    return call::to_utf8(object, text, size);
}
pyattach_status pyattach_to_bytes(struct _object *object, const char **data, size_t *size) {
    const kept_errno keeps;
    return call::to_bytes(object, data, size);
}
pyattach_status pyattach_from_int64(int64_t value, struct _object **result) {
    const kept_errno keeps;
    return call::from_int64(value, result);
}
pyattach_status pyattach_from_double(double value, struct _object **result) {
    const kept_errno keeps;
    return call::from_double(value, result);
}
pyattach_status pyattach_from_bool(int value, struct _object **result) {
    const kept_errno keeps;
    return call::from_bool(value, result);
}
pyattach_status pyattach_from_utf8(const char *text, size_t size, struct _object **result) {
    const kept_errno keeps;
    return call::from_utf8(text, size, result);
}
pyattach_status pyattach_from_bytes(const char *data, size_t size, struct _object **result) {
    const kept_errno keeps;
    return call::from_bytes(data, size, result);
}
pyattach_status pyattach_str(struct _object *object, struct _object **result) {
    const kept_errno keeps;
    return call::str(object, result);
}
pyattach_status pyattach_repr(struct _object *object, struct _object **result) {
    const kept_errno keeps;
    return call::repr(object, result);
}
size_t pyattach_error_message(char *buffer, size_t size) {
    const kept_errno keeps;
    return call::error_message(buffer, size);
}
void pyattach_error_clear(void) {
    const kept_errno keeps;
    call::error_clear();
}
pyattach_status pyattach_type_of(struct _object *object, struct _object **type) {
    const kept_errno keeps;
    return call::type_of(object, type);
}
pyattach_status pyattach_is_instance(struct _object *object, struct _object *type, int *answer) {
    const kept_errno keeps;
    return call::is_instance(object, type, answer);
}
pyattach_status pyattach_is_subclass(struct _object *derived, struct _object *base, int *answer) {
    const kept_errno keeps;
    return call::is_subclass(derived, base, answer);
}
pyattach_status pyattach_error_take(struct _object **exception) {
    const kept_errno keeps;
    return call::error_take(exception);
}
pyattach_status pyattach_error_restore(struct _object *exception) {
    const kept_errno keeps;
    return call::error_restore(exception);
}
pyattach_status pyattach_error_matches(struct _object *exception, struct _object *type, int *answer) {
    const kept_errno keeps;
    return call::error_matches(exception, type, answer);
}

// --- stats.h
void pyattach_stats_get(pyattach_stats *out) {
    const kept_errno keeps;
    get_stats(out);
}

} // extern "C"
