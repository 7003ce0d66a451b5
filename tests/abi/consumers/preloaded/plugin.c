/* A plugin that brings Python into a program that has none: start() initializes Python, calls it three times on a
 * native thread, and ends it. */
#include <Python.h>
#include <pthread.h>

static void *work(void *argument) {
    (void)argument;
    for (int i = 0; i < 3; ++i) {
        PyGILState_STATE state = PyGILState_Ensure();
        PyRun_SimpleString("local.calls = getattr(local, 'calls', 0) + 1; seen.append(local.calls)");
        PyGILState_Release(state);
    }
    return NULL;
}

__attribute__((visibility("default"))) int start(void) {
    pthread_t thread;
    PyThreadState *state;
    Py_InitializeEx(0);
    PyRun_SimpleString("import threading; local, seen = threading.local(), []");
    state = PyEval_SaveThread();
    if (pthread_create(&thread, NULL, work, NULL) == 0)
        pthread_join(thread, NULL);
    PyEval_RestoreThread(state);
    PyRun_SimpleString("print(seen, flush=True)");
    return Py_FinalizeEx();
}
