/* The Python module `words`: native threads count the words of files and call back into Python with what they found.
 *
 *     import words
 *     words.count("README.md", lambda path, number: print(path, number))
 *     words.wait()
 *
 * Python.h is included, but libpython is not linked: an unmodified python3 brings it along. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "workers.h"

typedef struct counting {
    task base;
    pyattach_interpreter *interpreter;
    PyObject *path, *callback;
    char name[]; /* the path, as the operating system takes it */
} counting;

typedef struct words_state {
    pyattach_interpreter *interpreter;
    workers *threads;
} words_state;

/* The number of words, or -1 with errno set. */
static long count_words(const char *name) {
    FILE *file = fopen(name, "rb");
    long words = 0;
    int byte, in_word = 0, error = 0;
    if (file == NULL)
        return -1;
    while ((byte = getc(file)) != EOF) {
        const int is_space = isspace(byte);
        words += !is_space && !in_word;
        in_word = !is_space;
    }
    if (ferror(file))
        error = errno;
    fclose(file);
    errno = error;
    return error == 0 ? words : -1;
}

/* The thread is detached, so these two references wait in the pool of their interpreter until a thread attaches. */
static void forget(counting *it) {
    pyattach_decref_in(it->interpreter, it->path);
    pyattach_decref_in(it->interpreter, it->callback);
    PyMem_RawFree(it);
}

static void discard(task *base) { forget((counting *)base); }

static void run(task *base) {
    counting *it = (counting *)base;
    pyattach_attached here;
    const long words = count_words(it->name); /* needs no Python */
    const int error = errno;
    /* Refused when the interpreter is ending: then the callback is not called. */
    if (pyattach_attached_begin_in(&here, it->interpreter) == PYATTACH_OK) {
        PyObject *number = words >= 0 ? PyLong_FromLong(words)
                                      : PyObject_CallFunction(PyExc_OSError, "isO", error, strerror(error), it->path);
        PyObject *result = number == NULL ? NULL : PyObject_CallFunctionObjArgs(it->callback, it->path, number, NULL);
        if (result == NULL)
            PyErr_WriteUnraisable(it->callback); /* there is no caller to raise it in */
        Py_XDECREF(result);
        Py_XDECREF(number);
        pyattach_attached_end(&here);
    }
    forget(it);
}

PyDoc_STRVAR(count_doc, "count(path, callback, /)\n--\n\n"
                        "Has a native thread count the words of a file and call callback(path, number), or\n"
                        "callback(path, error) with an OSError if the file cannot be read. Returns at once.");

static PyObject *words_count(PyObject *module, PyObject *arguments) {
    const words_state *state = PyModule_GetState(module);
    PyObject *path, *callback, *name;
    counting *it;
    pyattach_status status;
    if (!PyArg_ParseTuple(arguments, "OO:count", &path, &callback))
        return NULL;
    if (!PyCallable_Check(callback))
        return PyErr_Format(PyExc_TypeError, "the callback must be callable, not %R", callback);
    if (!PyUnicode_FSConverter(path, &name))
        return NULL;
    it = PyMem_RawMalloc(sizeof *it + (size_t)PyBytes_GET_SIZE(name) + 1);
    if (it == NULL) {
        Py_DECREF(name);
        return PyErr_NoMemory();
    }
    it->base.run = run;
    it->base.discard = discard;
    it->interpreter = state->interpreter;
    memcpy(it->name, PyBytes_AS_STRING(name), (size_t)PyBytes_GET_SIZE(name) + 1);
    Py_DECREF(name);
    Py_INCREF(path);
    Py_INCREF(callback);
    it->path = path;
    it->callback = callback;
    status = workers_add(state->threads, &it->base);
    if (status == PYATTACH_OK)
        Py_RETURN_NONE;
    forget(it);
    return PyErr_Format(PyExc_RuntimeError, "no thread can count: %s", pyattach_status_message(status));
}

PyDoc_STRVAR(wait_doc, "wait()\n--\n\n"
                       "Waits until everything asked for has been called back.");

static PyObject *words_wait(PyObject *module, PyObject *nothing) {
    const words_state *state = PyModule_GetState(module);
    int is_idle = 0;
    (void)nothing;
    if (workers_include_me(state->threads)) {
        PyErr_SetString(PyExc_RuntimeError, "a callback cannot wait for itself");
        return NULL;
    }
    while (!is_idle) {
        pyattach_detached gap;
        pyattach_status status = pyattach_detached_begin(&gap);
        if (status != PYATTACH_OK)
            return PyErr_Format(PyExc_RuntimeError, "cannot wait: %s", pyattach_status_message(status));
        is_idle = workers_are_idle(state->threads, 100); /* the interpreter is free meanwhile, for the callbacks */
        if (pyattach_detached_end(&gap) != PYATTACH_OK)
            for (;;)
                pause(); /* it has ended, and our caller is Python code: there is nowhere to return to */
        if (PyErr_CheckSignals() != 0)
            return NULL; /* Ctrl-C */
    }
    Py_RETURN_NONE;
}

static int words_exec(PyObject *module) {
    words_state *state = PyModule_GetState(module);
    pyattach_status status = PYATTACH_NOT_ATTACHED;
    state->interpreter = pyattach_interpreter_current();
    if (state->interpreter != NULL)
        state->threads = workers_new(state->interpreter, &status);
    if (state->threads != NULL)
        return 0;
    PyErr_Format(PyExc_ImportError, "words cannot run here: %s", pyattach_status_message(status));
    return -1;
}

static void words_free(void *module) {
    const words_state *state = PyModule_GetState(module);
    if (state != NULL && state->threads != NULL)
        workers_forget(state->threads);
}

static PyMethodDef words_functions[] = {{"count", words_count, METH_VARARGS, count_doc},
                                        {"wait", words_wait, METH_NOARGS, wait_doc},
                                        {NULL, NULL, 0, NULL}};

static PyModuleDef_Slot words_slots[] = {{Py_mod_exec, words_exec},
#ifdef Py_mod_multiple_interpreters
                                         {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
                                         {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
                                         {0, NULL}};

static struct PyModuleDef words_module = {PyModuleDef_HEAD_INIT,
                                          "words",
                                          "Counts words on native threads.",
                                          sizeof(words_state),
                                          words_functions,
                                          words_slots,
                                          NULL,
                                          NULL,
                                          words_free};

PyMODINIT_FUNC PyInit_words(void) { return PyModuleDef_Init(&words_module); }
