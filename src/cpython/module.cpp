// Modules that have been imported already.
#include "cpython/module.hpp"

namespace pyattach::cpython {

object *loaded_module(const char *name) {
    object *modules = python().sys_object("modules"); // NULL from a certain point of an interpreter's end
    return modules ? python().dict_get(modules, name) : nullptr;
}

bool is_attribute_true(object *obj, const char *name) {
    const table &py = python();
    object *value = py.get_attribute(obj, name);
    bool is_true = value && py.is_true(value) == 1;
    py.decref(value);
    py.error_clear();
    return is_true;
}

} // namespace pyattach::cpython
