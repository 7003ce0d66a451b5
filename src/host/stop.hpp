// Stop: Py_FinalizeEx with a status and a time limit.
#pragma once

#include "pyattach/base.h"

namespace pyattach {

// See pyattach_interpreter_stop.
pyattach_status stop() noexcept;

} // namespace pyattach
