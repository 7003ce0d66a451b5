// Exception: takes the pending exception out as an object, compares it, and puts it back. The contracts stand in
// include/pyattach/call.h.
#pragma once

#include "core/thread.hpp"
#include "cpython/table.hpp"

namespace pyattach::call {

status error_take(object **exception) noexcept;
status error_restore(object *exception) noexcept;
status error_matches(object *exception, object *type, int *answer) noexcept;
void error_report(object *about) noexcept;

} // namespace pyattach::call
