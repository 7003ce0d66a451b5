// The sentence that describes each status.
#include "base/status.hpp"

namespace pyattach {

const char *message_of(pyattach_status status) noexcept {
    switch (status) {
    case PYATTACH_OK:
        return "The call succeeded.";
    case PYATTACH_NOT_INITIALIZED:
        return "No Python interpreter runs: it was never started, or it has ended.";
    case PYATTACH_FINALIZING:
        return "The Python interpreter is ending or has ended; this thread cannot be attached to it again.";
    case PYATTACH_FORBIDDEN:
        return "The thread is inside a tp_traverse function, where attaching and detaching are forbidden.";
    case PYATTACH_NOT_ATTACHED:
        return "The thread is not attached to a Python interpreter.";
    case PYATTACH_PYTHON_ERROR:
        return "Python raised an exception.";
    case PYATTACH_NO_MEMORY:
        return "Memory is short.";
    case PYATTACH_NO_PYTHON:
        return "No CPython is loaded in this process; a host names one with pyattach_python_load.";
    case PYATTACH_UNSUPPORTED:
        return "This Python, or its present state, is not supported; the message handler is told why.";
    case PYATTACH_TIMED_OUT:
        return "Native threads were still inside the interpreter when the time-out ended.";
    case PYATTACH_INVALID:
        return "An argument is invalid, or the call is not allowed here.";
    }
    return "This number is no pyattach_status.";
}

} // namespace pyattach
