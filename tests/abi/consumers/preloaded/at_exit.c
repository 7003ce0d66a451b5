/* A program that embeds Python, calls it twice on a native thread, and ends it in a function that exit() calls. */
#include <Python.h>
#include <pthread.h>

static PyThreadState *main_state;

static void *work(void *argument) {
    (void)argument;
    for (int i = 0; i < 2; ++i) {
        PyGILState_STATE state = PyGILState_Ensure();
        PyRun_SimpleString("pass");
        PyGILState_Release(state);
    }
    return NULL;
}

static void end_python(void) {
    PyEval_RestoreThread(main_state);
    Py_FinalizeEx();
}

int main(void) {
    pthread_t thread;
    Py_InitializeEx(0);
    main_state = PyEval_SaveThread();
    if (pthread_create(&thread, NULL, work, NULL) == 0)
        pthread_join(thread, NULL);
    atexit(end_python);
    exit(5);
}
