/* An extension module that reaches CPython's functions in every way that a binary can: through the linkage table,
 * through the global offset table (a pointer to a function), and through an initialized variable. */
#include <Python.h>
#include <dlfcn.h>
#include <pthread.h>

struct ways {
    PyGILState_STATE (*ensure)(void);
    void (*release)(PyGILState_STATE);
};
/* An absolute relocation each, of words that the program may write. */
struct ways written = {PyGILState_Ensure, PyGILState_Release};
static struct ways *volatile variable = &written;

struct job {
    struct ways ways;
    PyObject *function;
};

static void *work(void *argument) {
    struct job *job = argument;
    for (int i = 0; i < 3; ++i) {
        PyGILState_STATE state = job->ways.ensure();
        PyObject *result = PyObject_CallObject(job->function, NULL);
        if (!result)
            PyErr_WriteUnraisable(job->function);
        Py_XDECREF(result);
        job->ways.release(state);
    }
    return NULL;
}

/* call(function, way) calls the function three times on a native thread. */
static PyObject *call(PyObject *module, PyObject *arguments) {
    /* A pointer that the compiler does not see through comes from the global offset table. */
    struct ways offset_table = {PyGILState_Ensure, PyGILState_Release};
    struct job job;
    pthread_t thread;
    const char *way;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "Os", &job.function, &way))
        return NULL;
    job.ways = way[0] == 'v' ? *variable : offset_table;
    Py_BEGIN_ALLOW_THREADS
    if (pthread_create(&thread, NULL, work, &job) == 0)
        pthread_join(thread, NULL);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

/* What a debugger would see in the variable. */
static PyObject *address(PyObject *module, PyObject *arguments) {
    (void)module, (void)arguments;
    return PyLong_FromVoidPtr((void *)variable->ensure);
}

/* open(name) opens a library by its name, which the run path of this module finds. */
static PyObject *open_library(PyObject *module, PyObject *name) {
    void *handle = dlopen(PyUnicode_AsUTF8(name), RTLD_NOW | RTLD_LOCAL);
    (void)module;
    if (!handle)
        return PyErr_Format(PyExc_OSError, "%s", dlerror());
    if (dlerror())
        return PyErr_Format(PyExc_OSError, "dlerror() after a success");
    return PyLong_FromVoidPtr(handle);
}

static PyMethodDef methods[] = {{"call", call, METH_VARARGS, NULL},
                                {"address", address, METH_NOARGS, NULL},
                                {"open", open_library, METH_O, NULL},
                                {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "reached", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_reached(void) {
    PyObject *module = PyModule_Create(&definition);
#ifdef Py_GIL_DISABLED
    if (module)
        PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
    return module;
}
