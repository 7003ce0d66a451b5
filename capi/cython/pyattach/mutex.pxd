# Written by tools/pxd from include/pyattach/mutex.h, where each rule is stated.
from pyattach.base cimport pyattach_status

cdef extern from "pyattach/mutex.h" nogil:
    ctypedef struct pyattach_mutex:
        pass
    void pyattach_mutex_lock(pyattach_mutex *mutex)
    pyattach_status pyattach_mutex_lock_for(pyattach_mutex *mutex, long long timeout_ns)
    int pyattach_mutex_try_lock(pyattach_mutex *mutex)
    void pyattach_mutex_unlock(pyattach_mutex *mutex)
    int pyattach_mutex_is_locked(pyattach_mutex *mutex)
