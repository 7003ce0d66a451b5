// Modules that have been imported already. Each function needs an attached thread, and is called inside `guarded`.
#pragma once

#include "cpython/table.hpp"

namespace pyattach::cpython {

// A borrowed reference to an imported module. NULL: it has not been imported, or the interpreter's end has deleted
// sys.modules.
object *loaded_module(const char *name);
// Whether the attribute exists and is true. Runs Python code; leaves no exception.
bool is_attribute_true(object *obj, const char *name);

} // namespace pyattach::cpython
