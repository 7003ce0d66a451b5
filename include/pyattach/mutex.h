/* Mutex: a lock that detaches the thread while it waits, so that it cannot deadlock against the GIL.
 *
 * The lock order is: mutex first, interpreter second. A thread never waits for a mutex while it keeps other threads out
 * of Python, and a thread that holds a mutex may attach. Locking a mutex that is free never detaches. A mutex is not
 * recursive. It works on every thread, attached or not, before Python is loaded and after Python has ended. Its first
 * byte follows CPython's PyMutex, so on free-threaded builds a critical section can lock it too. While a thread holds a
 * mutex, attaches of that thread release no references from the pool, so that no destructor of Python's runs under the
 * lock. */
#ifndef PYATTACH_MUTEX_H
#define PYATTACH_MUTEX_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A mutex. Zeroed memory is an unlocked mutex. The caller allocates it and never moves it while it is in use. It needs
 * no destruction. */
typedef struct pyattach_mutex {
    void *opaque[4]; /* private to the library */
} pyattach_mutex;

/* The initializer of an unlocked mutex, the same as zeroes: pyattach_mutex lock = PYATTACH_MUTEX_INIT; */
#define PYATTACH_MUTEX_INIT                                                                                            \
    {                                                                                                                  \
        { 0, 0, 0, 0 }                                                                                                 \
    }

/* Locks the mutex. NULL is ignored.
 *
 * May block, also on Python's main thread, where Ctrl-C does not end the wait; pyattach_mutex_lock_for can be
 * interrupted. An attached thread is detached while it waits, except inside a forbidden scope, where nothing may
 * detach. If the interpreter ends meanwhile, so that the thread cannot be attached again, the mutex is unlocked and the
 * thread is parked for ever. The wait is no cancellation point (pthread_cancel). May run Python code where it detached:
 * first registration of the interpreter (see pyattach_detached_begin).
 *
 * A mutex that another thread held at a fork stays locked in the child, as CPython's own locks do. */
PYATTACH_API void pyattach_mutex_lock(pyattach_mutex *mutex);

/* Locks the mutex, or gives up after `timeout_ns` nanoseconds of the monotonic clock. Negative: never; 0: without a
 * wait.
 *
 * May block. An attached thread is detached while it waits, except inside a forbidden scope. On Python's main thread
 * the handlers of signals run meanwhile, ten times a second, so that Ctrl-C ends the wait, unless an exception is
 * pending already (see pyattach_can_handle_signals). pyattach_mutex_lock cannot report that, so it does not run them.
 * The wait is no cancellation point. May run Python code where it detached: signal handlers, and first registration of
 * the interpreter.
 *
 * PYATTACH_OK: the mutex is locked. With any other status it is not.
 * PYATTACH_TIMED_OUT: the time is over.
 * PYATTACH_PYTHON_ERROR: a signal handler raised an exception, which is pending.
 * PYATTACH_FINALIZING: the interpreter ended meanwhile. The thread is not attached any more, and its scopes are inert
 *   (see pyattach_detached_end).
 * PYATTACH_UNSUPPORTED: as pyattach_detached_end, after a wait.
 * PYATTACH_INVALID: `mutex` is NULL. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_mutex_lock_for(pyattach_mutex *mutex, long long timeout_ns);

/* Locks the mutex if it is free. Returns 1 if it is locked now, 0 if it was locked already or `mutex` is NULL. Does not
 * block and runs no Python code. */
PYATTACH_API int pyattach_mutex_try_lock(pyattach_mutex *mutex);

/* Unlocks the mutex; the thread that locked it calls this. NULL is ignored. Does not block and runs no Python code.
 * Aborts if the mutex is not locked. */
PYATTACH_API void pyattach_mutex_unlock(pyattach_mutex *mutex);

/* Returns 1 if some thread holds the mutex, else 0, and 0 for NULL. The answer may be out of date as soon as it is
 * returned. Does not block and runs no Python code. */
PYATTACH_API int pyattach_mutex_is_locked(pyattach_mutex *mutex);

#ifdef __cplusplus
}
#endif
#endif
