// Drop: a reference is given back, on any thread at any time.
#pragma once

#include <cstddef>

#include "core/interpreter.hpp"
#include "cpython/table.hpp"

namespace pyattach {

// Gives a reference back; `owner` NULL: of the interpreter this thread stands for (see pool.h).
void decref(object *, interpreter *owner) noexcept;
pyattach_status take_reference(object *) noexcept;

} // namespace pyattach
