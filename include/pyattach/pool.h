/* References: taken on attached threads, given back on any thread.
 *
 * A reference given back on an attached thread is released at once. On any other thread it is queued in the pool of its
 * interpreter and waits there until a thread attaches to that interpreter. The interpreter of a reference is the one to
 * which the thread is attached (also inside a forbidden scope), else the one of its innermost open detached scope, else
 * the main interpreter. If that interpreter has ended, or was never registered with this library, the reference is
 * leaked, and counted.
 *
 * Releasing the references that wait is called draining. Attaches drain (see pyattach_set_drain_budget), and so does
 * the housekeeping thread of this library, so that what waits is released soon also while no thread attaches: see
 * pyattach_set_housekeeping. */
#ifndef PYATTACH_POOL_H
#define PYATTACH_POOL_H

#include "interpreter.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Adds a reference to `object`; the caller owns the new reference. This is never deferred, because the object could be
 * destroyed meanwhile. Does not block and runs no Python code.
 *
 * PYATTACH_OK: the caller owns one more reference.
 * PYATTACH_NOT_ATTACHED: the thread is not attached.
 * PYATTACH_FORBIDDEN: the thread is inside a forbidden scope.
 * PYATTACH_UNSUPPORTED: this process is the child of a raw fork() in which Python stays refused (see pyattach_forked).
 * PYATTACH_INVALID: `object` is NULL. */
PYATTACH_API pyattach_status pyattach_incref(struct _object *object);

/* Gives back a reference that the caller owns, on any thread at any time: detached, inside a tp_traverse function,
 * while the thread ends, after Python has ended. NULL is ignored. Cannot fail.
 *
 * Never waits for Python or for another thread's use of Python. The first time that a process gives back hundreds of
 * references in a row, the kernel may take milliseconds to register the process for membarrier(2). May run Python code
 * if the thread is attached: the destructor of the object.
 *
 * In a build with -Dreference_pool=false, a reference given back on a thread that is not attached aborts, or is leaked
 * with -Dleak_on_drop=true. */
PYATTACH_API void pyattach_decref(struct _object *object);

/* Gives back a reference whose interpreter is `interpreter`. The object is released at once only if the thread is
 * attached to that interpreter. `interpreter` NULL: the same as pyattach_decref. Everything else is as for
 * pyattach_decref. */
PYATTACH_API void pyattach_decref_in(pyattach_interpreter *interpreter, struct _object *object);

/* Releases all references that wait in the pool of the interpreter to which the thread is attached. Those that were
 * given back before the call are released when it returns, unless another thread is draining the same pool. Ignores the
 * drain budget. May block, and runs Python code: the destructors of the objects.
 *
 * PYATTACH_OK: the pool was drained.
 * PYATTACH_NOT_ATTACHED: the thread is not attached.
 * PYATTACH_FORBIDDEN: the thread is inside a forbidden scope.
 * PYATTACH_UNSUPPORTED: as pyattach_incref.
 * PYATTACH_NO_MEMORY: memory is short. */
PYATTACH_API pyattach_status pyattach_pool_drain(void);

/* Sets how many references an attach, or the end of a detached scope, releases at most; the rest waits for the next
 * one, or for housekeeping, which has no budget. The budget holds for the whole process. 0: an attach releases none; if
 * housekeeping is off, too, the library releases none by itself until the budget is above 0 again. The default is 256.
 * Does not wait for Python and runs no Python code. */
PYATTACH_API void pyattach_set_drain_budget(size_t objects);

/* Who releases what waits while no thread attaches, and deletes the thread states of ended threads. */
typedef enum pyattach_housekeeping {
    /* The default, unless the library was built with -Dhousekeeping=off: a thread of the library's own, named
     * "pyattach". The first reference that is queued, or the first thread that ends with a thread state, makes it. It
     * sleeps while nothing waits, attaches as any native thread does, and ends with Python's main interpreter.
     * Destructors run on it, all signals are blocked on it. Before a fork it ends. */
    PYATTACH_HOUSEKEEPING_AUTO = 0,
    /* No such thread. What waits is released by the next attach to its interpreter. If thousands wait in the pool of
     * the main interpreter and no thread attaches, the library schedules a drain on Python's main thread
     * (Py_AddPendingCall), which takes place while that thread runs Python code and holds no mutex or critical section
     * of this library. (Up to CPython 3.12 it takes place only when another thread asks for the GIL, too.) Thread
     * states of ended threads are deleted by threads that need a new one. */
    PYATTACH_HOUSEKEEPING_OFF = 1
} pyattach_housekeeping;

/* Chooses between these, for the whole process, at any time. OFF ends the housekeeping thread, and returns when it has
 * ended, or after a second if a destructor that it runs takes longer; it then ends as soon as the destructor returns.
 * OFF may block: the calling thread, if it is attached, is detached while it waits (not inside a forbidden scope, where
 * it does not wait). Runs no Python code on the calling thread. */
PYATTACH_API void pyattach_set_housekeeping(pyattach_housekeeping policy);

/* Sets within which time housekeeping releases what waits, in nanoseconds; negative: 0. It begins after half of it,
 * which leaves the other half for the release, and wakes at most once in that time. A thread that keeps Python, or a
 * long destructor, delays it beyond the limit. The default is 100000000 (a tenth of a second). Does not wait for Python
 * and runs no Python code. */
PYATTACH_API void pyattach_set_release_delay(long long delay_ns);

/* Returns the number of references that wait in the pool of the interpreter to which the thread is attached, or of the
 * main interpreter if it is not attached; 0 if there is no such interpreter. Does not wait for Python and runs no
 * Python code. */
PYATTACH_API size_t pyattach_pool_size(void);

#ifdef __cplusplus
}
#endif
#endif
