/* Mutex: a lock that detaches while it waits, so that it cannot deadlock against the GIL.
 *
 * Lock order: mutex first, interpreter second. So a mutex is never awaited by a thread that keeps others out of Python,
 * and who holds one may attach. Uncontended, it never detaches. It is not recursive; it works on every thread, attached
 * or not, before Python is loaded and after it ended. Its first byte follows CPython's PyMutex, so on
 * free-threaded builds it can also be held by a critical section. While a thread holds one, its attaches do not release
 * references from the pool: no foreign destructor runs under the lock. */
#ifndef PYATTACH_MUTEX_H
#define PYATTACH_MUTEX_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroed memory is a mutex ready for use. Never moved while in use; needs no destruction. */
typedef struct pyattach_mutex {
    void *opaque[4]; /* the library's */
} pyattach_mutex;

/* An initialiser: pyattach_mutex lock = PYATTACH_MUTEX_INIT; zeroes say the same. */
#define PYATTACH_MUTEX_INIT                                                                                            \
    {                                                                                                                  \
        { 0, 0, 0, 0 }                                                                                                 \
    }

/* May block, detached if the thread was attached. If the interpreter ends meanwhile so that the thread cannot be
 * attached again, the mutex is unlocked and the thread parked for ever. A mutex that another thread held at a fork
 * stays locked in the child, as CPython's do. */
PYATTACH_API void pyattach_mutex_lock(pyattach_mutex *);

/* 1: locked now; 0: it was locked already. */
PYATTACH_API int pyattach_mutex_try_lock(pyattach_mutex *);

/* By the thread that locked it. Unlocking a mutex that is not locked aborts. */
PYATTACH_API void pyattach_mutex_unlock(pyattach_mutex *);

/* 1 while any thread holds it. A glance: it may be out of date at once. */
PYATTACH_API int pyattach_mutex_is_locked(pyattach_mutex *);

#ifdef __cplusplus
}
#endif
#endif
