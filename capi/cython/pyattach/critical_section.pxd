# Written by tools/pxd from include/pyattach/critical_section.h, where each rule is stated.
from cpython.object cimport PyObject
from pyattach.base cimport pyattach_status
from pyattach.mutex cimport pyattach_mutex

cdef extern from "pyattach/critical_section.h" nogil:
    ctypedef struct pyattach_critical_section:
        pass
    pyattach_status pyattach_critical_section_begin(pyattach_critical_section *section, PyObject *object)
    pyattach_status pyattach_critical_section_begin2(pyattach_critical_section *section, PyObject *first,
        PyObject *second)
    pyattach_status pyattach_critical_section_begin_mutex(pyattach_critical_section *section, pyattach_mutex *mutex)
    pyattach_status pyattach_critical_section_begin_mutex2( pyattach_critical_section *section, pyattach_mutex *first,
        pyattach_mutex *second)
    void pyattach_critical_section_end(pyattach_critical_section *section)
