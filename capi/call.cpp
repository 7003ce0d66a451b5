// The ABI boundary: the functions of call.h call those of src/objects. See pyattach.cpp.
#include "pyattach/call.h"

#include "objects/call.hpp"
#include "objects/error_message.hpp"
#include "objects/exception.hpp"
#include "objects/finalizer.hpp"
#include "objects/type.hpp"
#include "platform/kept_errno.hpp"

using namespace pyattach;

extern "C" {

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
int pyattach_can_handle_signals(void) { return call::can_handle_signals(); }
pyattach_status pyattach_get_attribute(struct _object *object, const char *name, struct _object **result) {
    const kept_errno kept;
    return call::get_attribute(object, name, result);
}
pyattach_status pyattach_set_attribute(struct _object *object, const char *name, struct _object *value) {
    const kept_errno kept;
    return call::set_attribute(object, name, value);
}
pyattach_status pyattach_call(struct _object *callable, struct _object *const *args, size_t nargs,
                              struct _object **result) {
    const kept_errno kept;
    return call::call(callable, args, nargs, result);
}
pyattach_status pyattach_to_int64(struct _object *object, int64_t *value) {
    const kept_errno kept;
    return call::to_int64(object, value);
}
pyattach_status pyattach_to_double(struct _object *object, double *value) {
    const kept_errno kept;
    return call::to_double(object, value);
}
pyattach_status pyattach_to_bool(struct _object *object, int *value) {
    const kept_errno kept;
    return call::to_bool(object, value);
}
pyattach_status pyattach_to_utf8(struct _object *object, const char **text, size_t *size) {
    const kept_errno kept;
    return call::to_utf8(object, text, size);
}
pyattach_status pyattach_to_bytes(struct _object *object, const char **data, size_t *size) {
    const kept_errno kept;
    return call::to_bytes(object, data, size);
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
pyattach_status pyattach_from_finalizer(pyattach_finalizer function, void *arg, struct _object **result) {
    const kept_errno kept;
    return call::from_finalizer(function, arg, result);
}
pyattach_status pyattach_str(struct _object *object, struct _object **result) {
    const kept_errno kept;
    return call::str(object, result);
}
pyattach_status pyattach_repr(struct _object *object, struct _object **result) {
    const kept_errno kept;
    return call::repr(object, result);
}
size_t pyattach_error_message(char *buffer, size_t size) {
    const kept_errno kept;
    return call::error_message(buffer, size);
}
void pyattach_error_clear(void) {
    const kept_errno kept;
    call::error_clear();
}
pyattach_status pyattach_type_of(struct _object *object, struct _object **type) {
    const kept_errno kept;
    return call::type_of(object, type);
}
pyattach_status pyattach_is_instance(struct _object *object, struct _object *type, int *answer) {
    const kept_errno kept;
    return call::is_instance(object, type, answer);
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
void pyattach_error_report(struct _object *about) {
    const kept_errno kept;
    call::error_report(about);
}

} // extern "C"
