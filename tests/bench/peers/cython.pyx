# cython: language_level=3
# Cython's `with gil` and `with nogil`: see cython.cpp.

cdef public void bench_cython_attach(long n) noexcept nogil:
    while n:
        with gil:
            pass
        n -= 1

cdef void call_once(void *function) noexcept with gil:
    (<object>function)()

cdef public void bench_cython_calls(void *function, long n) noexcept nogil:
    while n:
        call_once(function)
        n -= 1

cdef public void bench_cython_detach(long n) noexcept:
    while n:
        with nogil:
            pass
        n -= 1
