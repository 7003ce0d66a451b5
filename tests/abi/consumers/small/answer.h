/* What each consumer in C does: a native thread attaches, asks Python, and drops what it got after it has detached. */
#include <pthread.h>
#include <pyattach/pyattach.h>

static void *answer_on_thread(void *into) {
    struct _object *sum = NULL;
    pyattach_attached here;
    if (pyattach_attached_begin(&here) != PYATTACH_OK)
        return NULL;
    if (pyattach_eval("sum(range(10))", NULL, NULL, &sum) == PYATTACH_OK)
        pyattach_to_int64(sum, (int64_t *)into);
    pyattach_attached_end(&here);
    pyattach_decref(sum);
    return NULL;
}

/* 45; anything else says that it went wrong. */
static inline int answer(void) {
    int64_t value = 0;
    pthread_t thread;
    if (pthread_create(&thread, NULL, answer_on_thread, &value) != 0)
        return 0;
    pthread_join(thread, NULL);
    return (int)value;
}

/* The same, with the Python of this file; NULL: the one this program is linked to. */
static inline int answer_of(const char *libpython) {
    int value;
    if (libpython != NULL && pyattach_python_load(libpython) != PYATTACH_OK)
        return -1;
    if (pyattach_interpreter_start() != PYATTACH_OK)
        return -2;
    value = answer();
    return pyattach_interpreter_stop() == PYATTACH_OK ? value : -3;
}
