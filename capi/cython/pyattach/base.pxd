# Written by tools/pxd from include/pyattach/base.h, where each rule is stated.

cdef extern from "pyattach/base.h" nogil:
    ctypedef enum pyattach_status:
        PYATTACH_OK
        PYATTACH_NOT_INITIALIZED
        PYATTACH_FINALIZING
        PYATTACH_FORBIDDEN
        PYATTACH_NOT_ATTACHED
        PYATTACH_PYTHON_ERROR
        PYATTACH_NO_MEMORY
        PYATTACH_NO_PYTHON
        PYATTACH_UNSUPPORTED
        PYATTACH_TIMED_OUT
        PYATTACH_INVALID
    const char *pyattach_status_message(pyattach_status status)
    unsigned int pyattach_version()
    void pyattach_set_message_handler(void (*handler)(const char *message, void *arg) noexcept nogil, void *arg)
