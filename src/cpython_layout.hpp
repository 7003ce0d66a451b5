// Where CPython keeps the answers to the questions asked most often.
#pragma once

#include "cpython.hpp"

namespace pyattach::cpython {

struct places {
    unsigned minor;     // of versions 3.minor, as 0x030d
    uint16_t active;    // offsetof(PyThreadState, _status); 0 up to 3.11
    uint16_t exception; // offsetof(PyThreadState, current_exception); up to 3.11 of curexc_type
    uint16_t current;   // up to 3.11: offsetof(_PyRuntimeState, gilstate.tstate_current)
};

// Attached: raises and clears an exception, detaches and attaches again, and looks each time what is there.
bool are_answers_at(const places &) noexcept;

} // namespace pyattach::cpython
