// Threads: what each thread does, in the caller's array.
#pragma once

#include "pyattach/threads.h"

namespace pyattach {

// See threads.h.
size_t get_threads(pyattach_thread_info *array, size_t n) noexcept;

} // namespace pyattach
