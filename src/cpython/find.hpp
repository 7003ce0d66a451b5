// Finds CPython in this process, or loads it.
#pragma once

#include "cpython/table.hpp"

struct pyattach_python;

namespace pyattach::cpython {

// OK: a Python is in use. Until one is, each call searches the process for it. Any number of threads may search at
// once, and all of them find the same Python. No lock is held over the dynamic linker. Runs no Python code.
pyattach_status find() noexcept;
// As pyattach_python_load and pyattach_python_describe.
pyattach_status load(const char *path) noexcept;
pyattach_status describe(pyattach_python *out) noexcept;
// Puts the symbols of the Python in use into the global scope, where extension modules that do not link libpython
// search for them. Calls the dynamic linker, so no lock may be held.
void make_global() noexcept;

} // namespace pyattach::cpython
