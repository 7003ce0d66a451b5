/* Workers: native threads of one interpreter, which take tasks in turn, and the end of them. Knows nothing of Python.
 */
#ifndef WORKERS_H
#define WORKERS_H

#include <pyattach/pyattach.h>

typedef struct workers workers;

/* The first member of whatever is to be done. */
typedef struct task {
    struct task *next;
    void (*run)(struct task *);     /* on a worker, not attached */
    void (*discard)(struct task *); /* instead of `run`, when the interpreter ends first; not attached either */
} task;

/* Registers an exit callback, which ends the threads: what they run then is waited for, what is queued is discarded.
 * NULL: *status says why. */
workers *workers_new(pyattach_interpreter *interpreter, pyattach_status *status);
/* Idle threads live on until the interpreter ends. Never blocks. */
void workers_forget(workers *);

/* Neither blocks nor attaches. FINALIZING: the interpreter ends; INVALID: in a child of fork(), which has none of the
 * threads; NO_MEMORY: no thread could be started. Then the task is still the caller's. */
pyattach_status workers_add(workers *, task *);

/* Waits, up to `milliseconds`, until nothing is queued or run: 1; else 0. Call it detached. */
int workers_are_idle(workers *, long milliseconds);

/* 1 if the calling thread is one of the threads. */
int workers_include_me(workers *);

#endif
