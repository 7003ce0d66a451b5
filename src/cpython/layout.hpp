// Where CPython keeps the answers to the questions asked most often.
#pragma once

#include "cpython/cpython.hpp"

namespace pyattach::cpython {

struct places {
    unsigned minor;     // of versions 3.minor, as 0x030d
    unsigned exception; // offsetof(PyThreadState, current_exception); up to 3.11 of curexc_type
    unsigned current;   // up to 3.11: offsetof(_PyRuntimeState, gilstate.tstate_current); later 0: a thread-local
    cpython::counting counting; // of builds that are not free-threaded
};

// Attached: raises and clears an exception, and looks each time what is there.
bool is_exception_at(unsigned exception) noexcept;
// Attached: detaches and attaches again, and looks each time whether `where` says so.
bool is_current_at(thread_state *const *where) noexcept;
// Attached: makes an object and looks whether its references are counted so. Not free-threaded.
bool is_counted(counting how) noexcept;
// Attached: CPython's thread-local, as __tls_get_addr takes it. False: it has none, or more than one word says what
// that would say, or threads' own words cannot be found here.
bool find_current(size_t (&index)[2]) noexcept;

} // namespace pyattach::cpython
