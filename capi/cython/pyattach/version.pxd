# Written by tools/pxd from include/pyattach/version.h, where each rule is stated.

cdef extern from "pyattach/version.h" nogil:
    int PYATTACH_VERSION_MAJOR
    int PYATTACH_VERSION_MINOR
    int PYATTACH_VERSION_PATCH
    unsigned int PYATTACH_VERSION
