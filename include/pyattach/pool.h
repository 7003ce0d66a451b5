/* References: taken while attached, given back anywhere.
 *
 * A reference given back on an attached thread is released at once. Anywhere else it waits in the pool of its
 * interpreter until a thread attaches there. Whose it is: the interpreter this thread is attached to (also while
 * forbidden), else that of its innermost open detached scope, else the main interpreter. If that one has ended, or
 * never met this library, the reference is leaked, and counted.
 *
 * If thousands wait in the pool of the main interpreter, whichever threads gave them back, and no thread attaches, then
 * Python's main thread is asked to release them while it runs Python code. It does so when no mutex or critical section
 * of this library is held there. */
#ifndef PYATTACH_POOL_H
#define PYATTACH_POOL_H

#include "interpreter.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Takes a reference. Never deferred: the object could die meanwhile. NOT_ATTACHED, FORBIDDEN; INVALID: NULL. */
PYATTACH_API pyattach_status pyattach_incref(struct _object *);

/* Gives a reference back, on any thread at any time: detached, inside tp_traverse, while the thread ends, after Python
 * has ended. Never fails, and never waits for Python or for another thread's use of it; where a process first gives
 * hundreds back in a row, the kernel may take milliseconds to register it (membarrier). May run Python code if the
 * thread is attached (the object's destructor). Built with -Dreference_pool=false, giving one back on a thread that is
 * not attached aborts, or leaks it with -Dleak_on_drop=true. */
PYATTACH_API void pyattach_decref(struct _object *);

/* The same for a reference of the interpreter named: released at once only if this thread is attached to it. NULL: as
 * pyattach_decref. */
PYATTACH_API void pyattach_decref_in(pyattach_interpreter *, struct _object *);

/* Releases everything that waits in the pool of this thread's interpreter. What was given back before the call is
 * released when it returns, unless a drain of another thread is at work on it. Runs Python code (destructors).
 * NOT_ATTACHED, FORBIDDEN. */
PYATTACH_API pyattach_status pyattach_pool_drain(void);

/* How many references an attach (or the end of a detached scope) releases at most; the rest waits for the next. For the
 * whole process. 0: none, nor does Python release any by itself before there is a budget again. Default: 256. */
PYATTACH_API void pyattach_set_drain_budget(size_t objects);

/* References waiting in the pool of this thread's interpreter, if it is attached, else of the main one; 0 if there is
 * none. */
PYATTACH_API size_t pyattach_pool_size(void);

#ifdef __cplusplus
}
#endif
#endif
