# distutils: language = c++
# cython: language_level=3
# Cython's `with gil` and `with nogil` beside this library's scopes; the scenarios are in beside_cython.hpp.
from libcpp.string cimport string

cdef extern from "beside_cython.hpp" namespace "neighbours" nogil:
    void run_cython(const string &) except +
    void run_cython_on_thread(const string &, const string &, int) except +
    void leave_cython_thread_behind()

ctypedef public void (*scenario_function)() nogil

cdef public void with_gil_call(scenario_function call) nogil:
    with gil:
        call()

cdef public void without_gil_call(scenario_function call):
    with nogil:
        call()

def names():
    return "cython_in_ours cython_in_our_gap"

def run(name):
    run_cython(name.encode())

def run_on_thread(name, first, int rounds):
    cdef string which = name.encode()
    cdef string how = first.encode()
    with nogil:
        run_cython_on_thread(which, how, rounds)

def leave_thread_behind():
    with nogil:
        leave_cython_thread_behind()
