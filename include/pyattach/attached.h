/* Attached: this thread may call Python. */
#ifndef PYATTACH_ATTACHED_H
#define PYATTACH_ATTACHED_H

#include "interpreter.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Storage of an attached scope. The caller allocates it, does not initialize it and never moves it while the scope is
 * open. A scope that attached the thread, or switched it to another interpreter, is called outermost in its
 * interpreter; a scope that found the thread attached is called nested. Storage in which a scope is open must not be
 * used to begin another one: that aborts. It aborts at once if the open scope is the one that attached the thread and
 * its storage is not on the thread's stack; otherwise it aborts at the second end. */
typedef struct pyattach_attached {
    void *opaque[8]; /* private to the library */
} pyattach_attached;

/* Attaches the calling thread to the main interpreter. A thread that is attached already, to any interpreter, stays
 * attached to that interpreter and gets a nested scope, which is only counted. CPython is asked each time whether the
 * thread is attached, so a thread that other code detached in between is attached again.
 *
 * Releases references that wait in the pool of the interpreter, up to the drain budget (see pool.h).
 *
 * May block: for the GIL; while another thread starts Python; while another thread registers the interpreter (a second
 * at most, see interpreter.h); and, on free-threaded builds, while Python forks, if the thread needs a new thread
 * state. May run Python code: destructors of the objects released; registration of the interpreter.
 *
 * PYATTACH_OK: the scope is open.
 * PYATTACH_NO_PYTHON: no CPython is loaded in this process.
 * PYATTACH_UNSUPPORTED: the Python found cannot be used, or this process is the child of a raw fork() (see fork.h).
 * PYATTACH_NOT_INITIALIZED: no interpreter runs.
 * PYATTACH_FINALIZING: the interpreter is ending.
 * PYATTACH_FORBIDDEN: the thread is inside a forbidden scope.
 * PYATTACH_NO_MEMORY: memory is short.
 * PYATTACH_INVALID: `scope` is NULL. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_attached_begin(pyattach_attached *scope);

/* Attaches the calling thread to `interpreter`. A thread that is attached to that interpreter gets a nested scope; a
 * thread that is attached to another interpreter is switched to that one until the scope ends. Everything else is as
 * for pyattach_attached_begin, including what may block and what may run Python code.
 *
 * PYATTACH_FINALIZING: `interpreter` is ending or has ended.
 * PYATTACH_INVALID: `scope` or `interpreter` is NULL.
 * PYATTACH_NO_PYTHON, PYATTACH_UNSUPPORTED, PYATTACH_FORBIDDEN, PYATTACH_NO_MEMORY: as pyattach_attached_begin. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_attached_begin_in(pyattach_attached *scope,
                                                                           pyattach_interpreter *interpreter);

/* What an attached scope may be begun with. The caller sets struct_size, and zero is the default of each other field.
 */
typedef struct pyattach_attach_options {
    size_t struct_size;                /* set by the caller to sizeof(pyattach_attach_options) */
    pyattach_interpreter *interpreter; /* as for pyattach_attached_begin_in; NULL: as for pyattach_attached_begin */
    /* Not zero: no foreign code runs on the way in, nor when a detached scope inside this scope ends, nor on the way
     * into a scope nested in it. So the thread may hold a lock that a destructor or a `__del__` takes. Nothing is
     * released from the pool, thread states of other ended threads are not deleted, and a thread hook waits (see
     * thread_hook.h). pyattach_pool_drain still drains. What the thread itself does in the scope may run any code,
     * above all a call of Python. So may its end, as pyattach_attached_end.
     *
     * Two things cannot wait. The first attach to an interpreter registers it, which imports modules. And on
     * free-threaded builds a thread that needs a new thread state first deletes those of ended threads that had its
     * ident, which releases their thread-local data. Neither happens any more once the thread has attached to the
     * interpreter before, without this option, and has kept its thread state (see warm_state.h). */
    int no_drain;
    /* Shown behind the thread's name, up to 63 bytes, where a message lists which threads are inside ("12345 (name):
     * label"), and if the thread ends inside the scope. Of scopes inside one another the outermost label is shown. Not
     * copied: the caller owns the string, which stays unchanged until the scope has ended, and where the thread may end
     * inside the scope, for ever. NULL: none. */
    const char *label;
} pyattach_attach_options;

/* Attaches the calling thread as pyattach_attached_begin or pyattach_attached_begin_in does, with options, of which
 * only the fields within struct_size are read. NULL: there are none. On a thread that is attached already the options
 * hold for the nested scope. Everything else is as for those two functions, including what may block.
 *
 * PYATTACH_INVALID: `scope` is NULL, or struct_size is zero.
 * All other statuses: as pyattach_attached_begin and, with an interpreter, pyattach_attached_begin_in. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_attached_begin_with(pyattach_attached *scope,
                                                                             const pyattach_attach_options *options);

/* Attaches the calling thread to the main interpreter without asking whether the interpreter is usable, and without
 * registering it. This is for code that must run while Python starts or ends. The caller guarantees that the
 * interpreter exists and outlives the scope. Everything else, the statuses included, is as for pyattach_attached_begin.
 */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_attached_begin_unchecked(pyattach_attached *scope);

/* Begins a nested scope in a function that Python called. The caller guarantees that the thread is attached; CPython is
 * not asked. In a build with checks (Meson option `checks`) the call aborts if the thread is not attached; in other
 * builds the behaviour is undefined.
 *
 * Releases references from the pool, registers the interpreter, may block and may run Python code as
 * pyattach_attached_begin does on an attached thread.
 *
 * PYATTACH_OK: the scope is open.
 * PYATTACH_UNSUPPORTED, PYATTACH_FORBIDDEN, PYATTACH_NO_MEMORY, PYATTACH_INVALID: as pyattach_attached_begin. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_attached_assume(pyattach_attached *scope);

/* Ends a scope.
 *
 * The end of a nested scope changes nothing, and nested scopes may be ended in any order among themselves. The end of a
 * scope that attached the thread detaches it, and the end of one that switched it to another interpreter switches it
 * back. Such a scope is ended after all scopes inside it. If a Python exception was raised in it and is still set, the
 * exception is first reported through sys.unraisablehook and cleared. A scope whose interpreter has ended is inert: its
 * end does nothing. NULL is ignored.
 *
 * May block, for the GIL, where it switches the thread back. May run Python code: sys.unraisablehook; destructors of
 * thread-local data, if the thread state is not kept (see warm_state.h).
 *
 * Aborts if the scope was refused, has ended already or belongs to another thread, and if a detached scope, or a scope
 * that attached the thread, is still open inside it.
 *
 * A thread that ends with a scope open (by a return, pthread_exit, pthread_cancel or after a longjmp) is detached and
 * leaves the interpreter when the library's thread-exit hook runs, and the message handler is called. Destructors of
 * thread-local data that run before the hook find the thread in the state in which the scope left it, and may call any
 * function of this library. */
PYATTACH_API void pyattach_attached_end(pyattach_attached *scope);

/* Returns 1 if the calling thread may call Python now, on every version of Python; 0 if it may not, and inside a
 * forbidden scope. Never waits for Python or for another thread's use of this library; while no Python is loaded it
 * asks the dynamic linker (see interpreter.h). Runs no Python code.
 *
 * Limit: up to CPython 3.11, if other code gave the thread, with PyThreadState_Swap (as Py_NewInterpreter does), a
 * thread state unknown to this library, this function returns 0, and attaching the thread deadlocks: it waits for the
 * GIL that it holds itself. */
PYATTACH_API int pyattach_is_attached(void);

/* Returns the number of attached scopes of this library that are open on the calling thread since its last detached
 * scope. This is a statistic: other code may have attached or detached the thread. Does not block and runs no Python
 * code. */
PYATTACH_API int pyattach_attach_depth(void);

#ifdef __cplusplus
}
#endif
#endif
