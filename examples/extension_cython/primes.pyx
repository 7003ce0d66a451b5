# cython: language_level=3, cdivision=True
"""Looks for prime numbers on native threads, which call Python with each that they find.

    import primes
    search = primes.Search(print, 1000000, 1000100)
    search.wait()
"""
from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdlib cimport calloc, free

from pyattach.base cimport PYATTACH_OK, pyattach_status, pyattach_status_message
from pyattach.interpreter cimport pyattach_exit_callback_add, pyattach_interpreter, pyattach_interpreter_current
from pyattach.pool cimport pyattach_decref_in
from pyattach.with_scopes cimport with_attached, with_detached

cdef extern from "pool.h" nogil:
    ctypedef struct job:
        void (*run)(job *) noexcept nogil
        void (*forget)(job *) noexcept nogil
    int pool_add(job *added)
    void pool_close()
    int pool_wait(job *awaited, long milliseconds)
    int pool_includes_me()
    void job_cancel(job *cancelled)
    int job_is_cancelled(job *asked)
    void job_release(job *released)

cdef struct search:
    job base
    PyObject *callback
    long long number, stop  # the next number; where the search ends

cdef pyattach_interpreter *home

cdef bint is_prime(long long number) noexcept nogil:
    cdef long long divisor = 2
    while divisor <= number / divisor:
        if number % divisor == 0:
            return False
        divisor += 1
    return number > 1

# --- On the threads of the pool. `nogil`, and without what needs the GIL for its errors (cdivision, for one) ---

# Attached, so this is a function with the GIL; what the callback raises goes to sys.unraisablehook.
cdef void call_back(void *argument) except *:
    cdef search *it = <search *>argument
    (<object>it.callback)(it.number)

cdef void run(job *base) noexcept nogil:
    cdef search *it = <search *>base
    while it.number < it.stop and not job_is_cancelled(base):
        # Refused if Python is ending: then nothing is called.
        if is_prime(it.number) and with_attached(home, call_back, it) != PYATTACH_OK:
            break
        it.number += 1
    # Detached, so it is released soon, on another thread.
    pyattach_decref_in(home, it.callback)
    it.callback = NULL

# On the thread that uses it last, attached or not.
cdef void forget(job *base) noexcept nogil:
    cdef search *it = <search *>base
    pyattach_decref_in(home, it.callback)  # of a search that was refused; NULL does nothing
    free(it)

# Python begins to end, and this thread is detached: threads that are in a callback can finish it.
cdef void at_exit(pyattach_interpreter *interpreter, void *argument) noexcept nogil:
    pool_close()

# --- What Python calls ---

cdef struct waiting:
    job *awaited
    bint is_done

cdef void wait_a_while(void *argument) noexcept nogil:
    cdef waiting *it = <waiting *>argument
    it.is_done = pool_wait(it.awaited, 100)

cdef class Search:
    """Search(callback, start, stop): calls callback(prime) for each prime of range(start, stop), on a native thread.

    A Search that is deleted is cancelled.
    """
    cdef search *it

    def __cinit__(self, callback, long long start, long long stop):
        if not callable(callback):
            raise TypeError(f"the callback must be callable, not {callback!r}")
        self.it = <search *>calloc(1, sizeof(search))
        if self.it == NULL:
            raise MemoryError
        Py_INCREF(callback)
        self.it.callback = <PyObject *>callback
        self.it.number = start
        self.it.stop = stop
        self.it.base.run = run
        self.it.base.forget = forget
        if pool_add(&self.it.base) != 0:
            raise RuntimeError("there are no threads: Python is ending, or a fork() left them behind")

    # Runs on any thread, at any time, also while Python ends. So it waits for nothing.
    def __dealloc__(self):
        if self.it != NULL:
            job_cancel(&self.it.base)
            job_release(&self.it.base)

    def cancel(self):
        """Ends the search soon. Callbacks may still be running when this returns."""
        job_cancel(&self.it.base)

    def wait(self):
        """Waits until every prime was called back with, or the search was cancelled."""
        cdef waiting it
        cdef pyattach_status status
        if pool_includes_me():
            raise RuntimeError("a callback cannot wait for a search")
        it.awaited = &self.it.base
        it.is_done = False
        while not it.is_done:
            status = with_detached(wait_a_while, &it)  # other threads run Python meanwhile
            if status != PYATTACH_OK:
                raise RuntimeError("cannot wait: " + pyattach_status_message(status).decode())
            PyErr_CheckSignals()  # Ctrl-C

cdef int prepare() except -1:
    global home
    home = pyattach_interpreter_current()
    cdef pyattach_status status = pyattach_exit_callback_add(home, at_exit, NULL)
    if status != PYATTACH_OK:
        raise ImportError("primes cannot run here: " + pyattach_status_message(status).decode())
    return 0

prepare()
