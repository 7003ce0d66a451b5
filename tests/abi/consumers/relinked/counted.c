/* An extension module as one writes it with CPython's API alone: call(function, times) calls a Python function on a
 * native thread, and attaches for each call. */
#include <Python.h>
#include <pthread.h>

struct job {
    PyObject *function;
    long times;
    int failed;
};

static void *work(void *argument) {
    struct job *job = argument;
    for (long i = 0; i < job->times; ++i) {
        PyGILState_STATE state = PyGILState_Ensure();
        PyObject *result = PyObject_CallObject(job->function, NULL);
        if (!result) {
            PyErr_WriteUnraisable(job->function);
            job->failed = 1;
        }
        Py_XDECREF(result);
        Py_BEGIN_ALLOW_THREADS
        sched_yield();
        Py_END_ALLOW_THREADS
        PyGILState_Release(state);
    }
    return NULL;
}

static PyObject *call(PyObject *module, PyObject *arguments) {
    struct job job = {NULL, 0, 0};
    pthread_t thread;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "Ol", &job.function, &job.times))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    job.failed = pthread_create(&thread, NULL, work, &job) != 0 || pthread_join(thread, NULL) != 0 || job.failed;
    Py_END_ALLOW_THREADS
    return PyLong_FromLong(job.failed);
}

/* A thread that attaches without looking, for ever; the caller does not wait for it. */
static void *work_for_ever(void *function) {
    struct job job = {(PyObject *)function, 1, 0};
    for (;;)
        work(&job);
    return NULL;
}
static PyObject *leave_behind(PyObject *module, PyObject *function) {
    pthread_t thread;
    (void)module;
    Py_INCREF(function);
    return PyLong_FromLong(pthread_create(&thread, NULL, work_for_ever, function) != 0 || pthread_detach(thread) != 0);
}

static PyMethodDef methods[] = {{"call", call, METH_VARARGS, NULL},
                                {"leave_behind", leave_behind, METH_O, NULL},
                                {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "counted", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_counted(void) {
    PyObject *module = PyModule_Create(&definition);
#ifdef Py_GIL_DISABLED
    if (module)
        PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
#endif
    return module;
}
