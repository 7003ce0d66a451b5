/* Warm thread states: a native thread keeps its Python thread state from its first attach to its end.
 *
 * A kept thread state is called warm. It makes later attaches cheap, and `threading.local` values, context variables
 * and trace functions survive between them. A thread that ends never waits for Python. So where there is a GIL another
 * thread deletes its state (see pyattach_set_housekeeping), or the end of the interpreter does. On free-threaded builds
 * the ending thread deletes it itself, after the destructors of its thread_local objects, which runs the destructors of
 * its thread-local data; unless it would have to wait (CPython has just stopped all threads, or has a GIL, as during
 * the import of an extension module), or other code has attached it. A thread state that other code made (Python's own
 * threads, PyGILState_Ensure) is used, but never kept or deleted. On a debug build of CPython the policy is always
 * PYATTACH_THREADS_SCOPED, because CPython's assertions forbid deleting the state of another thread. Up to CPython 3.13
 * it is PYATTACH_THREADS_SCOPED in sub-interpreters too, because they abort if a state is left at their end. */
#ifndef PYATTACH_WARM_STATE_H
#define PYATTACH_WARM_STATE_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a native thread keeps between attaches. */
typedef enum pyattach_thread_policy {
    PYATTACH_THREADS_WARM = 0,  /* the default: the thread state */
    PYATTACH_THREADS_SCOPED = 1 /* nothing, as PyGILState_Ensure: each outermost attach makes and destroys a state */
} pyattach_thread_policy;

/* Sets the policy of the whole process. It is read when a thread that has no thread state attaches; states that are
 * warm already stay. Does not block and runs no Python code. */
PYATTACH_API void pyattach_set_thread_policy(pyattach_thread_policy policy);

/* Makes the warm thread state of the calling thread in the main interpreter, without attaching, so that the thread's
 * first attach does not have to: it then costs what each later one does. For threads that must not lose time once they
 * run, such as those of an audio callback.
 *
 * Does not wait for the GIL (but up to CPython 3.11 while tracemalloc traces), so a lock may be held meanwhile. On
 * free-threaded builds and up to 3.11 it waits while Python forks, for a second at most. On free-threaded builds
 * CPython stops the attached threads to make the second thread state of a process (3.13), or to enlarge its tables of
 * them: it then waits for those that are in native code. Runs no Python code.
 *
 * PYATTACH_OK: the next attach makes no thread state: this thread has one now, or had one before, or other code made
 * one for it. Or, on free-threaded builds, an ended thread that had this thread's ident has left a thread state; the
 * next attach deletes that one first, and makes the new one itself. PYATTACH_NO_PYTHON: no CPython is loaded in this
 * process. PYATTACH_NOT_INITIALIZED: no interpreter runs, or this library has not registered it yet, which the first
 * attach of any thread and pyattach_interpreter_start do. PYATTACH_FINALIZING: the main interpreter is ending.
 * PYATTACH_FORBIDDEN: the thread is inside a forbidden scope.
 * PYATTACH_UNSUPPORTED: this thread keeps no thread state: the policy is PYATTACH_THREADS_SCOPED, Python is a debug
 * build, or the thread is ending. Or the Python found cannot be used. Or this process was forked, and no thread has
 * attached since (see fork.h). PYATTACH_NO_MEMORY: memory is short. */
PYATTACH_API pyattach_status pyattach_thread_prepare(void);

/* Destroys the warm thread states of the calling thread now. Without any it does nothing.
 *
 * May block, for the GIL. May run Python code: destructors of thread-local data.
 *
 * PYATTACH_OK: the thread has no warm state any more. One of an interpreter that is ending is left to that interpreter.
 * PYATTACH_FORBIDDEN: the thread is inside a forbidden scope.
 * PYATTACH_INVALID: the thread is inside a scope, or other code has attached it.
 * PYATTACH_UNSUPPORTED: this process is the child of a raw fork() (see fork.h). */
PYATTACH_API pyattach_status pyattach_thread_release(void);

#ifdef __cplusplus
}
#endif
#endif
