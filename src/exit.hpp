// How an interpreter ends: refuse, tell, wait, release.
#pragma once

#include "pyattach/interpreter.h"

namespace pyattach {

struct interpreter;

// What the interpreter's atexit calls, attached, with its record.
void close_interpreter(void *record) noexcept;

void set_exit_timeout(long long timeout_ns) noexcept;

// Py_FinalizeEx with a status.
pyattach_status stop() noexcept;

} // namespace pyattach
