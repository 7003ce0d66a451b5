/* Once: one-time initialization that cannot deadlock against the GIL. */
#ifndef PYATTACH_ONCE_H
#define PYATTACH_ONCE_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A once. Zeroed memory is a once that is not done. The caller allocates it and never moves it while it is in use. It
 * needs no destruction. */
typedef struct pyattach_once {
    void *opaque[4]; /* private to the library */
} pyattach_once;

/* The initializer of a once that is not done, the same as zeroes: pyattach_once loaded = PYATTACH_ONCE_INIT; */
#define PYATTACH_ONCE_INIT                                                                                             \
    {                                                                                                                  \
        { 0, 0, 0, 0 }                                                                                                 \
    }

/* Calls init(arg), unless an earlier call on this once returned PYATTACH_OK. If `init` returns another status, that
 * status is returned to the caller whose `init` it was, and the once stays undone: the next caller tries again.
 *
 * `init` runs in the state of the calling thread (attached or not). It may use Python, detach, and run other onces; it
 * aborts if it runs its own once. If CPython (up to 3.13.7) ends the thread inside `init`, because Python ends, the
 * thread is parked there and the once stays undone. If another thread was running `init` at a fork, the once is undone
 * in the child.
 *
 * May block: a thread waits, detached, while another thread runs `init`. May run Python code, if it detaches to wait:
 * registration of the interpreter; destructors of references released from the pool.
 *
 * PYATTACH_OK: `init` has succeeded, now or earlier.
 * PYATTACH_FINALIZING: the interpreter ended while the attached thread waited. The thread is not attached any more, and
 *   its scopes are inert (see pyattach_detached_end).
 * PYATTACH_UNSUPPORTED: as pyattach_detached_end, after a wait.
 * PYATTACH_NO_MEMORY: memory is short.
 * PYATTACH_INVALID: `once` or `init` is NULL.
 * Any other status: the one that `init` returned. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_once_run(pyattach_once *once,
                                                                  pyattach_status (*init)(void *arg), void *arg);

#ifdef __cplusplus
}
#endif
#endif
