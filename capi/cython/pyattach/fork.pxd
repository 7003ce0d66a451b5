# Written by tools/pxd from include/pyattach/fork.h, where each rule is stated.
from pyattach.base cimport pyattach_status

cdef extern from "pyattach/fork.h" nogil:
    pyattach_status pyattach_fork(long long *pid)
    pyattach_status pyattach_forked()
