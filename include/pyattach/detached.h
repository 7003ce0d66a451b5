/* Detached: others may run Python while this thread computes or waits. */
#ifndef PYATTACH_DETACHED_H
#define PYATTACH_DETACHED_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Storage of a detached scope; the caller's, not initialised, never moved. */
typedef struct pyattach_detached {
    void *opaque[8];
} pyattach_detached;

/* Lets go of the interpreter until the scope ends. Critical sections of this thread are suspended meanwhile.
 * First contact may run Python code. NOT_ATTACHED, FORBIDDEN, NO_MEMORY; INVALID: NULL. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_detached_begin(pyattach_detached *);

/* Attaches again and releases references waiting in the pool. May block; may run Python code (their destructors).
 * FINALIZING: the interpreter ended meanwhile. The thread is not attached and never will be to that life of it; this
 * scope is closed, and every scope down to the one that attached is inert (ending it does nothing). Unwind; a function
 * that Python itself called has Python below it, which it must not return to, so it waits for ever instead.
 * Only threads that this library attached get FINALIZING. Others, which could not be told (Python's own, or attached by
 * another library), are parked for ever once the interpreter is gone, as CPython 3.14 does itself. Ending it with an
 * attached scope still open in it, out of order, or on another thread aborts. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_detached_end(pyattach_detached *);

#ifdef __cplusplus
}
#endif
#endif
