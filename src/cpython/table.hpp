// Fills the table from a library that holds CPython.
#pragma once

#include <climits>

#include "base/diagnostics.hpp"
#include "cpython/cpython.hpp"

namespace pyattach::cpython {

// Why a Python cannot be used.
struct reason {
    char text[600] = "";
    refusal_site *site = nullptr; // where a search says so; NULL: it is this Python that will not do
};

// Fills a table through `handle` (as for dlsym) and publishes it, unless another thread has published one meanwhile;
// whichever it is stays loaded. UNSUPPORTED: it will not do, and `why` says what is missing. NO_MEMORY. Called with no
// lock held, since it asks the dynamic linker.
pyattach_status adopt(void *handle, reason &why) noexcept;

// PY_VERSION_HEX of what Py_GetVersion says.
unsigned parse_version(const char *text) noexcept;

} // namespace pyattach::cpython
