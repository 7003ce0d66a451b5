/* Detached: other threads may run Python while this thread computes or waits. */
#ifndef PYATTACH_DETACHED_H
#define PYATTACH_DETACHED_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Storage of a detached scope. The caller allocates it, does not initialize it and never moves it while the scope is
 * open. */
typedef struct pyattach_detached {
    void *opaque[8]; /* private to the library */
} pyattach_detached;

/* Detaches the calling thread from its interpreter until the scope ends, whichever code attached the thread. The
 * critical sections of the thread are suspended meanwhile.
 *
 * Does not wait for Python; may wait while another thread registers the interpreter (a second at most). May run Python
 * code: registration of the interpreter (see interpreter.h); up to CPython 3.11 also the garbage collector, when a
 * thread begins its first detached scope with a thread state that other code made.
 *
 * PYATTACH_OK: the scope is open, and the thread is detached.
 * PYATTACH_NOT_ATTACHED: the thread is not attached.
 * PYATTACH_FORBIDDEN: the thread is inside a forbidden scope.
 * PYATTACH_UNSUPPORTED: this process is the child of a raw fork() in which Python stays refused (see pyattach_forked).
 * PYATTACH_NO_MEMORY: memory is short.
 * PYATTACH_INVALID: `scope` is NULL. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_detached_begin(pyattach_detached *scope);

/* Ends the scope: attaches the thread again, and releases references that wait in the pool, up to the drain budget.
 *
 * Only a thread that this library attached gets a refusal. A thread that Python or another library attached is parked
 * (it sleeps for ever) once the interpreter has ended, as CPython 3.14 does itself.
 *
 * May block, for the GIL. May run Python code: destructors of the objects released.
 *
 * Aborts if an attached scope is still open inside the scope, if detached scopes end out of order, and if the scope was
 * begun on another thread. A thread that ends with the scope open is treated as for pyattach_attached_end.
 *
 * PYATTACH_OK: the thread is attached again.
 * PYATTACH_FINALIZING: the interpreter ended meanwhile. The thread is not attached, and cannot be attached to this
 *   interpreter again; a Python that is started later is another interpreter. This scope has ended. The scopes around
 *   it, out to the one that attached the thread, are inert: ending them does nothing. The caller unwinds out of these
 *   scopes without calling Python. A function that Python called has frames of Python around it, to which it must not
 *   return; it must wait for ever instead.
 * PYATTACH_UNSUPPORTED: this process is the child of a raw fork() in which Python stays refused (see pyattach_forked).
 *   The thread and the scopes are left as for PYATTACH_FINALIZING.
 * PYATTACH_INVALID: `scope` is NULL. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_detached_end(pyattach_detached *scope);

#ifdef __cplusplus
}
#endif
#endif
