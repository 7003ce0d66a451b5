# Written by tools/pxd from include/pyattach/gilstate.h, where each rule is stated.
from pyattach.base cimport pyattach_status

cdef extern from "pyattach/gilstate.h" nogil:
    int pyattach_gilstate_ensure()
    void pyattach_gilstate_release(int handle)
    void *pyattach_gilstate_save()
    void pyattach_gilstate_restore(void *tstate)
    void pyattach_gilstate_acquire_thread(void *tstate)
    void pyattach_gilstate_release_thread(void *tstate)
    void *pyattach_gilstate_this_tstate()
    int pyattach_gilstate_is_finalizing()
    void *pyattach_gilstate_new_tstate(void *interp)
    void pyattach_gilstate_delete_current()
    void pyattach_gilstate_register()
    int pyattach_gilstate_is_open(const void *tstate)
    ctypedef enum pyattach_refused:
        PYATTACH_REFUSED_PARK
        PYATTACH_REFUSED_END_THREAD
    void pyattach_gilstate_set_refused(pyattach_refused policy)
    ctypedef void (*pyattach_refused_handler)(pyattach_status why, void *arg) noexcept nogil
    void pyattach_gilstate_set_refused_handler(pyattach_refused_handler handler, void *arg)
