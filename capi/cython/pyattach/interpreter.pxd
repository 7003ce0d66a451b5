# Written by tools/pxd from include/pyattach/interpreter.h, where each rule is stated.
from pyattach.base cimport pyattach_status

cdef extern from "pyattach/interpreter.h" nogil:
    pyattach_status pyattach_python_load(const char *path)
    ctypedef struct pyattach_python:
        size_t struct_size
        unsigned int version_hex
        int free_threaded
        int debug
        const char *path
    pyattach_status pyattach_python_describe(pyattach_python *out)
    ctypedef struct pyattach_interpreter:
        pass
    pyattach_interpreter *pyattach_interpreter_main()
    pyattach_interpreter *pyattach_interpreter_current()
    pyattach_status pyattach_interpreter_start()
    ctypedef struct pyattach_start_options:
        size_t struct_size
        const char *program_name
        const char *home
        int isolated
        int install_signal_handlers
    pyattach_status pyattach_interpreter_start_with(const pyattach_start_options *options)
    pyattach_status pyattach_interpreter_stop()
    void pyattach_set_exit_timeout(long long timeout_ns)
    ctypedef void (*pyattach_exit_callback)(pyattach_interpreter *interpreter, void *arg) noexcept nogil
    pyattach_status pyattach_exit_callback_add(pyattach_interpreter *interpreter, pyattach_exit_callback callback,
        void *arg)
    ctypedef struct pyattach_exit_callback_options:
        size_t struct_size
        int in_fork_child
    pyattach_status pyattach_exit_callback_add_with(pyattach_interpreter *interpreter, pyattach_exit_callback callback,
        void *arg, const pyattach_exit_callback_options *options)
    pyattach_status pyattach_exit_callback_remove(pyattach_interpreter *interpreter, pyattach_exit_callback callback,
        void *arg)
