// Takes a library that holds CPython into use.
#pragma once

#include "base/diagnostics.hpp"
#include "cpython/table.hpp"

namespace pyattach::cpython {

// Why a Python cannot be used.
struct reason {
    char text[600] = "";
    refusal_site *site = nullptr; // the site of the search's own refusal; NULL: this Python itself is unusable
};

// Fills a table through `handle` (as for dlsym) and publishes it, unless another thread has published one meanwhile.
// The Python of the published table stays loaded. UNSUPPORTED: this Python is unusable, and `why` names what is
// missing. NO_MEMORY. Calls the dynamic linker, so no lock may be held.
pyattach_status adopt(void *handle, reason &why) noexcept;

// The PY_VERSION_HEX that belongs to the text that Py_GetVersion returns.
unsigned parse_version(const char *text) noexcept;

} // namespace pyattach::cpython
