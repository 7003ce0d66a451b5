# Written by tools/pxd from include/pyattach/forbidden.h, where each rule is stated.

cdef extern from "pyattach/forbidden.h" nogil:
    ctypedef struct pyattach_forbidden:
        pass
    void pyattach_forbidden_begin(pyattach_forbidden *scope)
    void pyattach_forbidden_end(pyattach_forbidden *scope)
    int pyattach_is_forbidden()
