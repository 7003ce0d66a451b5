/* Attached: this thread may call Python. */
#ifndef PYATTACH_ATTACHED_H
#define PYATTACH_ATTACHED_H

#include "interpreter.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Storage of an attached scope; the caller's, not initialised, never moved. Beginning a scope in storage in which one
 * is open aborts: at once where it would overwrite the scope that attached the thread; a nested scope, and one on the
 * thread's own stack, where it ends the second time. */
typedef struct pyattach_attached {
    void *opaque[8]; /* the library's */
} pyattach_attached;

/* Attaches this thread to the main interpreter. On a thread that is attached already, to whichever interpreter, the
 * scope is nested: it only counts. Whether it is attached is asked of CPython each time, so code that let go of the GIL
 * in between is seen. Releases references waiting in the pool. May block (for the GIL; while another
 * thread starts Python, or meets the interpreter for the first time (a second at most); on free-threaded builds, for a
 * new thread, while Python forks); may run Python code (destructors of those references; first contact). NO_PYTHON,
 * UNSUPPORTED, NOT_INITIALIZED, FINALIZING, FORBIDDEN, NO_MEMORY; INVALID: NULL. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_attached_begin(pyattach_attached *);

/* The same for the interpreter named. A thread attached to another one is switched over until the scope ends. INVALID:
 * NULL, also for the interpreter. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_attached_begin_in(pyattach_attached *, pyattach_interpreter *);

/* For code that must run while Python starts or ends: attaches to the main interpreter without asking whether it is
 * usable, and registers nothing. The caller vouches that the interpreter exists and outlives the scope. Otherwise as
 * pyattach_attached_begin. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_attached_begin_unchecked(pyattach_attached *);

/* On entry from Python: the caller vouches that this thread is attached, and nobody is asked; the scope is nested. In
 * a build with checks (Meson option `checks`) a thread that is not attached aborts here, in others the behaviour is
 * undefined. May run Python code, as above. FORBIDDEN; NO_MEMORY; INVALID: NULL. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_attached_assume(pyattach_attached *);

/* Ends a scope. One that attached the thread, or switched it over, detaches or switches back, after all scopes inside
 * it; a Python exception still set is reported through sys.unraisablehook first; may run Python code then (that hook,
 * destructors of thread-local data). Nested ones change nothing and end in any order among themselves. Ending a scope
 * that was refused, ended already, or belongs to another thread aborts, as does ending one while a detached scope, or
 * one that attached, is open inside it. A scope whose interpreter has ended is inert: ending it does nothing.
 * A thread that ends with a scope open (by a return, by pthread_exit, by pthread_cancel) lets go of Python and of the
 * interpreter when the library's exit hook runs, and the message handler is told; destructors that run before that find
 * the thread as the scope left it, and may call anything here. */
PYATTACH_API void pyattach_attached_end(pyattach_attached *);

/* 1 if this thread may call Python now, on every version; 0 inside a forbidden scope. Never waits for Python or for
 * another thread's use of this library. (As long as no Python is loaded it asks the dynamic linker: see interpreter.h.)
 * Limit: up to CPython 3.11, a thread that other code moved with PyThreadState_Swap (as Py_NewInterpreter does) to a
 * state unknown to this library reads as 0, and attaching there deadlocks against the GIL that the thread itself holds.
 */
PYATTACH_API int pyattach_is_attached(void);

/* Attached scopes of this library open on this thread since its last detached scope. A statistic: it proves nothing. */
PYATTACH_API int pyattach_attach_depth(void);

#ifdef __cplusplus
}
#endif
#endif
