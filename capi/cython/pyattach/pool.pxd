# Written by tools/pxd from include/pyattach/pool.h, where each rule is stated.
from cpython.object cimport PyObject
from pyattach.base cimport pyattach_status
from pyattach.interpreter cimport pyattach_interpreter

cdef extern from "pyattach/pool.h" nogil:
    pyattach_status pyattach_incref(PyObject *object)
    void pyattach_decref(PyObject *object)
    void pyattach_decref_in(pyattach_interpreter *interpreter, PyObject *object)
    pyattach_status pyattach_pool_drain()
    void pyattach_set_drain_budget(size_t objects)
    ctypedef enum pyattach_housekeeping:
        PYATTACH_HOUSEKEEPING_AUTO
        PYATTACH_HOUSEKEEPING_OFF
    void pyattach_set_housekeeping(pyattach_housekeeping policy)
    void pyattach_set_release_delay(long long delay_ns)
    size_t pyattach_pool_size()
