// The pending exception as an object.
//
// The three words in which CPython up to 3.11 keeps it are asked for on every version: from 3.12 on, where it is one
// object, fetching and restoring them is the same with two of the words made up.
#include "objects/exception.hpp"

#include "base/diagnostics.hpp"
#include "core/current.hpp"
#include "core/interpreter.hpp"
#include "cpython/guarded.hpp"

namespace pyattach::call {

namespace {

using cpython::guarded;
using cpython::python;

// By the bit of its type that CPython itself goes by, so no `__class__` can pretend it.
bool is_exception(object *obj) {
    constexpr unsigned long is_exception_class = 1ul << 30;
    object *type = python().type_of(obj);
    bool answer = python().type_flags(type) & is_exception_class;
    python().decref(type);
    return answer;
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
        // C code raises without making the object, and without telling it its traceback.
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
        // Drops the one that was pending, and with it, maybe, whole frames.
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

} // namespace pyattach::call
