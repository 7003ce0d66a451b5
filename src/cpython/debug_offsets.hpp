// Debug offsets: the table in which CPython tells debuggers and profilers where its structures keep what they look for.
#pragma once

#include "cpython/table.hpp"

namespace pyattach::cpython {

// Whether threads of this interpreter wait for a GIL. A free-threaded Python has one while it imports an extension
// module, and from then on if the module does not say that it needs none. Out of date as soon as it is returned.
// `unless_known` where CPython has no such table, or one that this library does not know.
bool is_gil_enabled(const interp_state *interp, bool unless_known) noexcept;

} // namespace pyattach::cpython
