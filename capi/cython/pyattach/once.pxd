# Written by tools/pxd from include/pyattach/once.h, where each rule is stated.
from pyattach.base cimport pyattach_status

cdef extern from "pyattach/once.h" nogil:
    ctypedef struct pyattach_once:
        pass
    pyattach_status pyattach_once_run(pyattach_once *once, pyattach_status (*init)(void *arg) noexcept nogil, void *arg)
