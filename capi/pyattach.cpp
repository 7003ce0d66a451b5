// The ABI boundary: each function of the C API, in the order of the headers, calls src/; those of call.h are in
// call.cpp. Nothing is decided here but that NULL is refused or ignored. `kept` restores errno. Each contract is at the
// declaration.
#include "base/diagnostics.hpp"
#include "base/status.hpp"
#include "core/housekeeping.hpp"
#include "core/thread_hook.hpp"
#include "core/thread_report.hpp"
#include "cpython/find.hpp"
#include "gilstate/ensure.hpp"
#include "gilstate/gap.hpp"
#include "gilstate/own_tstate.hpp"
#include "gilstate/refused.hpp"
#include "gilstate/ticket.hpp"
#include "host/start.hpp"
#include "host/stats.hpp"
#include "host/stop.hpp"
#include "host/threads.hpp"
#include "lifecycle/exit.hpp"
#include "lifecycle/exit_callback.hpp"
#include "objects/decref.hpp"
#include "objects/drain.hpp"
#include "opaque.hpp"
#include "platform/kept_errno.hpp"
#include "scopes/attach_options.hpp"
#include "scopes/forked.hpp"
#include "scopes/holding.hpp"
#include "scopes/prepare.hpp"
#include "trace/dump.hpp"
#include "trace/write.hpp"
#include "tstate/warm_state.hpp"

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
pyattach_status pyattach_exit_callback_add(pyattach_interpreter *interpreter, pyattach_exit_callback callback,
                                           void *arg) {
    const kept_errno kept;
    return add_exit_callback(from_handle(interpreter), callback, arg, nullptr);
}
pyattach_status pyattach_exit_callback_add_with(pyattach_interpreter *interpreter, pyattach_exit_callback callback,
                                                void *arg, const pyattach_exit_callback_options *options) {
    const kept_errno kept;
    return add_exit_callback(from_handle(interpreter), callback, arg, options);
}
pyattach_status pyattach_exit_callback_remove(pyattach_interpreter *interpreter, pyattach_exit_callback callback,
                                              void *arg) {
    const kept_errno kept;
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
pyattach_status pyattach_attached_begin_with(pyattach_attached *scope, const pyattach_attach_options *options) {
    return scope ? attached::begin_with(in<attached_scope>(scope), options) : PYATTACH_INVALID;
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

// --- gilstate.h
int pyattach_gilstate_ensure(void) { return gilstate::ensure(__builtin_return_address(0)); }
void pyattach_gilstate_release(int handle) { gilstate::release(handle, __builtin_return_address(0)); }
void *pyattach_gilstate_save(void) { return gilstate::save(__builtin_return_address(0)); }
void pyattach_gilstate_restore(void *tstate) {
    gilstate::restore(static_cast<cpython::thread_state *>(tstate), __builtin_return_address(0), false);
}
void pyattach_gilstate_acquire_thread(void *tstate) {
    gilstate::restore(static_cast<cpython::thread_state *>(tstate), __builtin_return_address(0), true);
}
void pyattach_gilstate_release_thread(void *tstate) {
    gilstate::release_thread(static_cast<cpython::thread_state *>(tstate), __builtin_return_address(0));
}
void *pyattach_gilstate_this_tstate(void) { return gilstate::this_tstate(); }
int pyattach_gilstate_is_finalizing(void) { return gilstate::is_finalizing(); }
void *pyattach_gilstate_new_tstate(void *interp) {
    return gilstate::new_tstate(static_cast<cpython::interp_state *>(interp), __builtin_return_address(0));
}
void pyattach_gilstate_delete_current(void) { gilstate::delete_current(__builtin_return_address(0)); }
void pyattach_gilstate_register(void) { gilstate::register_soon(); }
int pyattach_gilstate_is_open(const void *tstate) { return gilstate::is_open(tstate); }
void pyattach_gilstate_set_refused(pyattach_refused policy) { gilstate::set_refused(policy); }
void pyattach_gilstate_set_refused_handler(pyattach_refused_handler handler, void *arg) {
    gilstate::set_refused_handler(handler, arg);
}

// --- hold.h
pyattach_status pyattach_hold_begin(pyattach_hold *begun, pyattach_interpreter *interpreter, const char *label) {
    const kept_errno kept;
    return begun ? begin_hold(in<hold>(begun), from_handle(interpreter), label) : PYATTACH_INVALID;
}
void pyattach_hold_end(pyattach_hold *ended) {
    const kept_errno kept;
    if (ended)
        end_hold(in<hold>(ended));
}
int pyattach_interpreter_is_ending(pyattach_interpreter *interpreter) { return is_ending(from_handle(interpreter)); }

// --- fork.h
pyattach_status pyattach_fork(long long *pid) { return forked::fork(pid); }
pyattach_status pyattach_forked(void) {
    const kept_errno kept;
    return forked::forked();
}

// --- pool.h
pyattach_status pyattach_incref(struct _object *object) { return take_reference(object); }
void pyattach_decref(struct _object *object) { decref(object, nullptr); }
void pyattach_decref_in(pyattach_interpreter *interpreter, struct _object *object) {
    decref(object, from_handle(interpreter));
}
pyattach_status pyattach_pool_drain(void) {
    const kept_errno kept;
    return drain_current();
}
size_t pyattach_pool_size(void) {
    const kept_errno kept;
    return pool_size_of_current();
}
void pyattach_set_drain_budget(size_t objects) { set_drain_budget(objects); }
void pyattach_set_housekeeping(pyattach_housekeeping policy) {
    const kept_errno kept;
    housekeeping::set_policy(policy);
}
void pyattach_set_release_delay(long long delay_ns) { housekeeping::set_release_delay(delay_ns); }

// --- warm_state.h
void pyattach_set_thread_policy(pyattach_thread_policy policy) { warm_state::set_policy(policy); }
pyattach_status pyattach_thread_prepare(void) {
    const kept_errno kept;
    return prepare_thread();
}
pyattach_status pyattach_thread_release(void) {
    const kept_errno kept;
    return warm_state::release();
}

// --- thread_hook.h
void pyattach_set_thread_hook(pyattach_thread_hook hook, void *arg) { thread_hook::set(hook, arg); }
void pyattach_set_thread_names(int wanted) { thread_hook::set_names(wanted != 0); }

// --- mutex.h
void pyattach_mutex_lock(pyattach_mutex *mutex) {
    if (mutex)
        mutex::lock(in<mutex_storage>(mutex));
}
pyattach_status pyattach_mutex_lock_for(pyattach_mutex *mutex, long long timeout_ns) {
    return mutex ? mutex::lock_for(in<mutex_storage>(mutex), timeout_ns) : PYATTACH_INVALID;
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

// --- stats.h
void pyattach_stats_get(pyattach_stats *out) {
    const kept_errno kept;
    get_stats(out);
}

// --- threads.h
size_t pyattach_threads_get(pyattach_thread_info *array, size_t n) { return get_threads(array, n); }
void pyattach_report(int descriptor) { report_threads_to(descriptor); }

// --- trace.h
pyattach_status pyattach_trace_start(const pyattach_trace_options *options) {
    const kept_errno kept;
    return trace::begin(options);
}
pyattach_status pyattach_trace_stop(void) {
    const kept_errno kept;
    return trace::end();
}
pyattach_status pyattach_trace_write(const char *path, pyattach_trace_format format) {
    return trace::write_to_path(path, format);
}
pyattach_status pyattach_trace_write_fd(int descriptor, pyattach_trace_format format) {
    return trace::write_to_descriptor(descriptor, format);
}

} // extern "C"
