// The sentence that describes each status.
#pragma once

#include "pyattach/base.h"

namespace pyattach {

const char *message_of(pyattach_status) noexcept;

} // namespace pyattach
