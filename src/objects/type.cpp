// Type: the type of an object, and questions about it.
#include "objects/type.hpp"

#include "core/current.hpp"
#include "core/interpreter.hpp"
#include "cpython/guarded.hpp"

namespace pyattach::call {

namespace {

using cpython::guarded;
using cpython::python;

// May run Python code, because a type can define __instancecheck__ or __subclasscheck__.
status ask(int (*const question)(object *, object *), object *obj, object *type, int *answer) noexcept {
    int found = guarded([=] { return question(obj, type); });
    if (found < 0)
        return PYATTACH_PYTHON_ERROR;
    *answer = found;
    return PYATTACH_OK;
}

} // namespace

status type_of(object *obj, object **type) noexcept {
    if (type)
        *type = nullptr;
    if (!obj || !type)
        return PYATTACH_INVALID;
    if (status refused = require_attached())
        return refused;
    *type = python().type_of(obj);
    return PYATTACH_OK;
}

status is_instance(object *obj, object *type, int *answer) noexcept {
    if (!obj || !type || !answer)
        return PYATTACH_INVALID;
    if (status refused = require_attached())
        return refused;
    return ask(python().is_instance, obj, type, answer);
}

status is_subclass(object *derived, object *base, int *answer) noexcept {
    if (!derived || !base || !answer)
        return PYATTACH_INVALID;
    if (status refused = require_attached())
        return refused;
    return ask(python().is_subclass, derived, base, answer);
}

} // namespace pyattach::call
