// Holding: a hold of a named or of the main interpreter, and whether the end of one has begun.
#pragma once

#include "core/hold.hpp"

namespace pyattach {

// See hold.h. `interp` NULL: the main interpreter.
status begin_hold(hold &begun, interpreter *interp, const char *label) noexcept;
bool is_ending(const interpreter *interp) noexcept;

} // namespace pyattach
