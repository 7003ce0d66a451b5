// Decref: gives a reference back, on any thread at any time.
#pragma once

#include <cstddef>

#include "core/interpreter.hpp"
#include "cpython/table.hpp"

namespace pyattach {

// The contracts stand in include/pyattach/pool.h.
//
// `interp` NULL: the interpreter is chosen as pool.h says.
void decref(object *reference, interpreter *interp) noexcept;
pyattach_status take_reference(object *reference) noexcept;

} // namespace pyattach
