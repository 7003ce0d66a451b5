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
 * May block. An attached thread is detached while it waits, except inside a forbidden scope, where nothing may detach.
 * If the interpreter ends meanwhile, so that the thread cannot be attached again, the mutex is unlocked and the thread
 * is parked for ever. The wait is no cancellation point (pthread_cancel). May run Python code where it detached: first
 * registration of the interpreter (see pyattach_detached_begin).
 *
 * A mutex that another thread held at a fork stays locked in the child, as CPython's own locks do. */
PYATTACH_API void pyattach_mutex_lock(pyattach_mutex *mutex);

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
