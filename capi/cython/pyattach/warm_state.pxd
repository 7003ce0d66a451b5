# Written by tools/pxd from include/pyattach/warm_state.h, where each rule is stated.
from pyattach.base cimport pyattach_status

cdef extern from "pyattach/warm_state.h" nogil:
    ctypedef enum pyattach_thread_policy:
        PYATTACH_THREADS_WARM
        PYATTACH_THREADS_SCOPED
    void pyattach_set_thread_policy(pyattach_thread_policy policy)
    pyattach_status pyattach_thread_prepare()
    pyattach_status pyattach_thread_release()
