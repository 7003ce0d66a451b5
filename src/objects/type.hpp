// Type: the type of an object, and questions about it. The contracts stand in include/pyattach/call.h.
#pragma once

#include "core/thread.hpp"
#include "cpython/table.hpp"

namespace pyattach::call {

status type_of(object *obj, object **type) noexcept;
// `answer` is unchanged unless OK is returned.
status is_instance(object *obj, object *type, int *answer) noexcept;
status is_subclass(object *derived, object *base, int *answer) noexcept;

} // namespace pyattach::call
