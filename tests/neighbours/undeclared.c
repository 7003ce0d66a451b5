/* An extension module that does not say that it can do without the GIL: importing it switches the GIL of a free-threaded
 * Python on. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "undeclared", NULL, -1, NULL, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_undeclared(void) { return PyModule_Create(&definition); }
