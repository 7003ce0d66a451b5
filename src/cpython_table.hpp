// Fills the table from a library that holds CPython.
#pragma once

#include <climits>

#include "cpython.hpp"

namespace pyattach::cpython {

// Why a Python cannot be used; told to the message handler once no lock is held.
struct reason {
    char text[600] = "";
};

// Fills the table through `handle` (as for dlsym) and publishes it, or says in `why` what is missing. Called under the
// finder's lock.
pyattach_status adopt(void *handle, reason &why) noexcept;

// PY_VERSION_HEX of what Py_GetVersion says.
unsigned parse_version(const char *text) noexcept;

// The file that holds `address`; "" if that cannot be told.
void path_of(const void *address, char (&path)[PATH_MAX]) noexcept;

} // namespace pyattach::cpython
