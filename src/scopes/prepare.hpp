// Prepare: makes the warm tstate of a thread before its first attach, without attaching.
#pragma once

#include "pyattach/base.h"

namespace pyattach {

// See pyattach_thread_prepare.
pyattach_status prepare_thread() noexcept;

} // namespace pyattach
