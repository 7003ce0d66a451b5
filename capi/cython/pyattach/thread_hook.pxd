# Written by tools/pxd from include/pyattach/thread_hook.h, where each rule is stated.
from pyattach.interpreter cimport pyattach_interpreter

cdef extern from "pyattach/thread_hook.h" nogil:
    ctypedef enum pyattach_thread_event:
        PYATTACH_THREAD_ATTACHED
        PYATTACH_THREAD_ENDED
    ctypedef void (*pyattach_thread_hook)(pyattach_thread_event event, pyattach_interpreter *interpreter,
        void *arg) noexcept nogil
    void pyattach_set_thread_hook(pyattach_thread_hook hook, void *arg)
    void pyattach_set_thread_names(int wanted)
