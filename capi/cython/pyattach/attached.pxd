# Written by tools/pxd from include/pyattach/attached.h, where each rule is stated.
from pyattach.base cimport pyattach_status
from pyattach.interpreter cimport pyattach_interpreter

cdef extern from "pyattach/attached.h" nogil:
    ctypedef struct pyattach_attached:
        pass
    pyattach_status pyattach_attached_begin(pyattach_attached *scope)
    pyattach_status pyattach_attached_begin_in(pyattach_attached *scope, pyattach_interpreter *interpreter)
    ctypedef struct pyattach_attach_options:
        size_t struct_size
        pyattach_interpreter *interpreter
        int no_drain
        const char *label
    pyattach_status pyattach_attached_begin_with(pyattach_attached *scope, const pyattach_attach_options *options)
    pyattach_status pyattach_attached_begin_unchecked(pyattach_attached *scope)
    pyattach_status pyattach_attached_assume(pyattach_attached *scope)
    void pyattach_attached_end(pyattach_attached *scope)
    int pyattach_is_attached()
    int pyattach_attach_depth()
