/* Once: one-time initialisation that cannot deadlock against the GIL. */
#ifndef PYATTACH_ONCE_H
#define PYATTACH_ONCE_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroed memory is a once ready for use. Never moved while in use; needs no destruction. */
typedef struct pyattach_once {
    void *opaque[4]; /* the library's */
} pyattach_once;

/* An initialiser: pyattach_once loaded = PYATTACH_ONCE_INIT; zeroes say the same. */
#define PYATTACH_ONCE_INIT                                                                                             \
    {                                                                                                                  \
        { 0, 0, 0, 0 }                                                                                                 \
    }

/* Calls init(arg) if nobody has done so with success; returns PYATTACH_OK once somebody has. A status other than OK
 * from `init` is returned to its caller and leaves the once undone: the next one tries again. `init` runs in the state
 * the caller is in (attached or not) and may use Python, detach, and run other onces; running its own aborts. Threads
 * that wait do so detached. A thread that CPython (up to 3.13.7) ends inside `init`, because Python ends, is parked
 * there and leaves the once undone. A once whose initialiser another thread was running at a fork runs anew in the
 * child. May block. FINALIZING: the interpreter ended while an attached thread waited (its scopes are inert, see
 * pyattach_detached_end); INVALID: NULL; NO_MEMORY. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_once_run(pyattach_once *, pyattach_status (*init)(void *),
                                                                  void *arg);

#ifdef __cplusplus
}
#endif
#endif
