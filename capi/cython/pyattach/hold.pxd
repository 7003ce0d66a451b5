# Written by tools/pxd from include/pyattach/hold.h, where each rule is stated.
from pyattach.base cimport pyattach_status
from pyattach.interpreter cimport pyattach_interpreter

cdef extern from "pyattach/hold.h" nogil:
    ctypedef struct pyattach_hold:
        pass
    pyattach_status pyattach_hold_begin(pyattach_hold *hold, pyattach_interpreter *interpreter, const char *label)
    void pyattach_hold_end(pyattach_hold *hold)
    int pyattach_interpreter_is_ending(pyattach_interpreter *interpreter)
