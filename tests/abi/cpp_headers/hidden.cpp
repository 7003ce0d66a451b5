// Compiled with -fvisibility=hidden, as plugins are: its exceptions must still be everybody's.
#include "pyattach/pyattach.hpp"

void throw_each(pyattach::token py, int which) {
    switch (which) {
    case 0:
        throw pyattach::error(PYATTACH_INVALID);
    case 1:
        throw pyattach::python_error(py);
    default:
        throw pyattach::cast_error("no");
    }
}
