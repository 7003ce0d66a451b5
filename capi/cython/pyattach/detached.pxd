# Written by tools/pxd from include/pyattach/detached.h, where each rule is stated.
from pyattach.base cimport pyattach_status

cdef extern from "pyattach/detached.h" nogil:
    ctypedef struct pyattach_detached:
        pass
    pyattach_status pyattach_detached_begin(pyattach_detached *scope)
    pyattach_status pyattach_detached_end(pyattach_detached *scope)
