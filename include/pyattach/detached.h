/* Detached: others may run Python while this thread computes or waits. */
#ifndef PYATTACH_DETACHED_H
#define PYATTACH_DETACHED_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Storage of a detached scope; the caller's, not initialised, never moved. */
typedef struct pyattach_detached {
    void *opaque[8]; /* the library's */
} pyattach_detached;

/* Lets go of the interpreter until the scope ends, whoever attached the thread. Critical sections of this thread are
 * suspended meanwhile. First contact may run Python code; up to 3.11 so may a thread's first scope within a thread
 * state that is not this library's (it may collect garbage). NOT_ATTACHED, FORBIDDEN, NO_MEMORY; INVALID: NULL. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_detached_begin(pyattach_detached *);

/* Attaches again and releases references waiting in the pool. May block; may run Python code (their destructors).
 * FINALIZING: the interpreter ended meanwhile. The thread is not attached, and never will be to that life of it. This
 * scope has ended; the scopes around it, out to the one that attached the thread, are inert: ending them does nothing.
 * Unwind to there without calling Python. A function that Python called has Python's frames around it, which it must
 * not return to; it has to wait for ever instead. UNSUPPORTED: the same, in the child of a raw fork() in which Python
 * stays refused (see pyattach_forked); begin answers so, too.
 * Only threads that this library attached are told. Others (Python's own, or attached by another library) are parked
 * for ever once the interpreter is gone, as CPython 3.14 does itself.
 * Aborts with an attached scope still open inside, out of order, or on another thread; INVALID: NULL. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_detached_end(pyattach_detached *);

#ifdef __cplusplus
}
#endif
#endif
