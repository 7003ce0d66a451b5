// Stop: Py_FinalizeEx with a status, and with a limit to what it waits for.
#pragma once

#include "pyattach/base.h"

namespace pyattach {

pyattach_status stop() noexcept;

} // namespace pyattach
