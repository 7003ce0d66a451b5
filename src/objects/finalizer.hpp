// Finalizer: a Python object whose end calls a C function. The contract stands in include/pyattach/call.h.
#pragma once

#include "core/thread.hpp"
#include "cpython/table.hpp"

namespace pyattach::call {

status from_finalizer(void (*function)(void *), void *arg, object **result) noexcept;

} // namespace pyattach::call
