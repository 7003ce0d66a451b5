# Written by tools/pxd from include/pyattach/call.h, where each rule is stated.
from libc.stdint cimport int64_t
from cpython.object cimport PyObject
from pyattach.base cimport pyattach_status

cdef extern from "pyattach/call.h":
    ctypedef void (*pyattach_finalizer)(void *arg) noexcept

cdef extern from "pyattach/call.h" nogil:
    pyattach_status pyattach_eval(const char *code, PyObject *globals, PyObject *locals, PyObject **result)
    pyattach_status pyattach_run(const char *code, PyObject *globals, PyObject *locals)
    pyattach_status pyattach_import(const char *name, PyObject **result)
    pyattach_status pyattach_check_signals()
    int pyattach_can_handle_signals()
    pyattach_status pyattach_get_attribute(PyObject *object, const char *name, PyObject **result)
    pyattach_status pyattach_set_attribute(PyObject *object, const char *name, PyObject *value)
    pyattach_status pyattach_call(PyObject *callable, PyObject **args, size_t nargs, PyObject **result)
    pyattach_status pyattach_to_int64(PyObject *object, int64_t *value)
    pyattach_status pyattach_to_double(PyObject *object, double *value)
    pyattach_status pyattach_to_bool(PyObject *object, int *value)
    pyattach_status pyattach_to_utf8(PyObject *object, const char **text, size_t *size)
    pyattach_status pyattach_to_bytes(PyObject *object, const char **data, size_t *size)
    pyattach_status pyattach_from_int64(int64_t value, PyObject **result)
    pyattach_status pyattach_from_double(double value, PyObject **result)
    pyattach_status pyattach_from_bool(int value, PyObject **result)
    pyattach_status pyattach_from_utf8(const char *text, size_t size, PyObject **result)
    pyattach_status pyattach_from_bytes(const char *data, size_t size, PyObject **result)
    pyattach_status pyattach_from_finalizer(pyattach_finalizer function, void *arg, PyObject **result)
    pyattach_status pyattach_str(PyObject *object, PyObject **result)
    pyattach_status pyattach_repr(PyObject *object, PyObject **result)
    pyattach_status pyattach_type_of(PyObject *object, PyObject **type)
    pyattach_status pyattach_is_instance(PyObject *object, PyObject *type, int *answer)
    pyattach_status pyattach_is_subclass(PyObject *derived, PyObject *base, int *answer)
    size_t pyattach_error_message(char *buffer, size_t size)
    void pyattach_error_clear()
    pyattach_status pyattach_error_take(PyObject **exception)
    pyattach_status pyattach_error_restore(PyObject *exception)
    pyattach_status pyattach_error_matches(PyObject *exception, PyObject *type, int *answer)
    void pyattach_error_report(PyObject *about)
