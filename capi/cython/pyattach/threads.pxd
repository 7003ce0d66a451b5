# Written by tools/pxd from include/pyattach/threads.h, where each rule is stated.
from pyattach.interpreter cimport pyattach_interpreter

cdef extern from "pyattach/threads.h" nogil:
    ctypedef enum pyattach_thread_state:
        PYATTACH_THREAD_IS_IDLE
        PYATTACH_THREAD_IS_WAITING
        PYATTACH_THREAD_IS_ATTACHED
        PYATTACH_THREAD_IS_DETACHED
    ctypedef struct pyattach_thread_info:
        size_t struct_size
        long long native_id
        pyattach_interpreter *interpreter
        pyattach_thread_state state
        int is_warm
        int detached_by_other_code
        long long since_ns
        char name[32]
        char label[64]
    size_t pyattach_threads_get(pyattach_thread_info *array, size_t n)
    void pyattach_report(int descriptor)
