/* An extension module, MODULE, whose answer() waits, detached, for a thread of its own. Compiled as C and as C++. */
#include <Python.h>

#ifdef __cplusplus
#include "answer.hpp"
#else
#include "answer.h"
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

static PyObject *call_answer(PyObject *module, PyObject *nothing) {
    int value;
    pyattach_detached gap;
    (void)module;
    (void)nothing;
    if (pyattach_detached_begin(&gap) != PYATTACH_OK)
        Py_RETURN_NONE;
    value = answer();
    if (pyattach_detached_end(&gap) != PYATTACH_OK)
        return NULL;
    return PyLong_FromLong(value);
}

static PyMethodDef methods[] = {{"answer", call_answer, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, TEXT(MODULE), NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC JOIN(PyInit_, MODULE)(void) { return PyModule_Create(&definition); }
