# cython: language_level=3
# The same as counted.c with Cython's `with gil` and `with nogil`.
from posix.types cimport pid_t

cdef extern from "pthread.h" nogil:
    ctypedef unsigned long pthread_t
    int pthread_create(pthread_t *, const void *, void *(*)(void *) noexcept nogil, void *)
    int pthread_join(pthread_t, void **)
    int pthread_detach(pthread_t)
cdef extern from "sched.h" nogil:
    int sched_yield()

cdef struct job:
    void *function
    long times
    int failed

cdef int call_once(void *function) noexcept with gil:
    try:
        (<object>function)()
        with nogil:
            sched_yield()
    except BaseException as error:
        print(repr(error))
        return 1
    return 0

cdef void *work(void *argument) noexcept nogil:
    cdef job *mine = <job *>argument
    cdef long i
    for i in range(mine.times):
        mine.failed |= call_once(mine.function)
    return NULL

cdef void *work_for_ever(void *function) noexcept nogil:
    while True:
        call_once(function)
    return NULL

def call(function, long times):
    cdef job mine
    cdef pthread_t thread
    mine.function = <void *>function
    mine.times = times
    mine.failed = 0
    with nogil:
        if pthread_create(&thread, NULL, work, &mine) != 0 or pthread_join(thread, NULL) != 0:
            mine.failed = 1
    return mine.failed

kept = []

def leave_behind(function):
    cdef pthread_t thread
    kept.append(function)
    return pthread_create(&thread, NULL, work_for_ever, <void *>function) != 0 or pthread_detach(thread) != 0
