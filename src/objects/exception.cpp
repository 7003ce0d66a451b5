// Exception: the pending exception as an object.
//
// CPython up to 3.11 keeps the pending exception in three words (type, value, traceback), from 3.12 on in one. The
// functions that fetch and restore three words are used on every version, since from 3.12 on they convert.
#include "objects/exception.hpp"

#include "base/diagnostics.hpp"
#include "core/current.hpp"
#include "core/interpreter.hpp"
#include "cpython/guarded.hpp"

namespace pyattach::call {

namespace {

using cpython::guarded;
using cpython::python;

// Reads the flag of the type by which CPython itself checks this. A `__class__` attribute does not change it.
bool is_exception(object *obj) {
    constexpr unsigned long is_exception_class = 1ul << 30;
    object *type = python().type_of(obj);
    const bool is_subclass = python().type_flags(type) & is_exception_class;
    python().decref(type);
    return is_subclass;
}

} // namespace

status error_take(object **exception) noexcept {
    if (!exception)
        return PYATTACH_INVALID;
    *exception = nullptr;
    if (status refused = require_attached())
        return refused;
    guarded([exception] {
        object *type = nullptr, *value = nullptr, *traceback = nullptr;
        python().error_fetch(&type, &value, &traceback);
        if (!type)
            return;
        // C code raises without making the object, and without setting the object's traceback.
        python().error_normalize(&type, &value, &traceback);
        if (traceback)
            python().exception_set_traceback(value, traceback);
        python().decref(type);
        python().decref(traceback);
        *exception = value;
    });
    return PYATTACH_OK;
}

status error_restore(object *exception) noexcept {
    if (!exception)
        return PYATTACH_INVALID;
    if (status refused = require_attached())
        return refused;
    static refusal_site no_exception;
    if (!guarded([exception] { return is_exception(exception); }))
        return pyattach::refused(
            PYATTACH_INVALID, no_exception,
            "pyattach_error_restore: the object is not an exception. An object that is raised is an instance of "
            "BaseException. Pass what pyattach_error_take gave, or an exception that was made by calling its class.");
    return guarded([exception] {
        python().incref(exception);
        // Releases the exception that was pending, and perhaps frames with it.
        python().error_restore(python().type_of(exception), exception, python().exception_traceback(exception));
        return PYATTACH_OK;
    });
}

status error_matches(object *exception, object *type, int *answer) noexcept {
    if (!exception || !type || !answer)
        return PYATTACH_INVALID;
    if (status refused = require_attached())
        return refused;
    *answer = guarded([=] { return python().error_matches(exception, type); });
    return PYATTACH_OK;
}

void error_report(object *about) noexcept {
    if (require_attached() != PYATTACH_OK)
        return;
    guarded([about] {
        // A debug build of CPython aborts where no exception is pending.
        if (python().error_occurred())
            python().error_unraisable(about);
    });
}

} // namespace pyattach::call
