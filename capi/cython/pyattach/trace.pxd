# Written by tools/pxd from include/pyattach/trace.h, where each rule is stated.
from pyattach.base cimport pyattach_status

cdef extern from "pyattach/trace.h" nogil:
    ctypedef enum pyattach_trace_format:
        PYATTACH_TRACE_CHROME
        PYATTACH_TRACE_PERFETTO
        PYATTACH_TRACE_HTML
    ctypedef struct pyattach_trace_options:
        size_t struct_size
        size_t events_per_thread
        int keep_oldest
        const char *dump_path
        pyattach_trace_format dump_format
        int dump_signal
    pyattach_status pyattach_trace_start(const pyattach_trace_options *options)
    pyattach_status pyattach_trace_stop()
    pyattach_status pyattach_trace_write(const char *path, pyattach_trace_format format)
    pyattach_status pyattach_trace_write_fd(int descriptor, pyattach_trace_format format)
