/* GILState: what code is routed to that calls PyGILState_Ensure, PyEval_SaveThread and the like, and is not rewritten.
 *
 * Code that calls CPython's functions gains what the scopes of this library give (warm thread states, an exit that
 * waits for threads inside and crashes none) if these calls reach the functions of this header: by a linker option, or
 * by <pyattach/route_gilstate.h>; see docs/adopt.md. Each function takes and returns what CPython's own does: a handle
 * is a PyGILState_STATE, `tstate` a PyThreadState *, `interp` a PyInterpreterState *. New code uses the scopes of
 * attached.h and detached.h, which report what these functions cannot.
 *
 * What is open on a thread is kept in one stack a thread, by the library, for all modules of the process that are
 * routed to the same copy of it. So the two calls of a pair may be made in two modules. If only one of the two is
 * routed, the process aborts with a sentence that names the routed module, where that is noticed; the other way round
 * (an ensure that is not routed, a release that is) works.
 *
 * When Python ends, a thread of routed code is *refused*: the library parks it, ends it, or calls a handler first, as
 * pyattach_gilstate_set_refused says. CPython up to 3.13.7 ends such a thread by unwinding its stack, which terminates
 * the process at the first noexcept frame.
 *
 * Every function here may be called on each thread, restores errno, and aborts if this library finds no Python, if none
 * has run yet, or if memory is short, unless its comment says otherwise. */
#ifndef PYATTACH_GILSTATE_H
#define PYATTACH_GILSTATE_H

#include "interpreter.h"

#ifdef __cplusplus
extern "C" {
#endif

/* As PyGILState_Ensure. On a thread that is attached, only counts, and returns 0 (PyGILState_LOCKED). The first call on
 * a thread that other code has attached may register the interpreter, and so may run Python code. Otherwise attaches as
 * pyattach_attached_begin does, with the thread's warm thread state, and returns 1 (PyGILState_UNLOCKED); may block and
 * may run Python code. If Python ends or has ended, the thread is refused.
 *
 * Aborts if code that is not routed has released what an earlier call attached. */
PYATTACH_API int pyattach_gilstate_ensure(void);

/* As PyGILState_Release: undoes the ensure that has returned `handle`. Where that attached, ends the scope as
 * pyattach_attached_end does: a pending exception is reported through sys.unraisablehook, and Python code may run.
 * Ensures may be released in any order that CPython allows.
 *
 * Aborts if the thread has no ensure to release, if it is detached by pyattach_gilstate_save, or if code that is not
 * routed has released or resumed what routed code began. Does nothing on a thread that is not attached while Python
 * ends, or has ended. */
PYATTACH_API void pyattach_gilstate_release(int handle);

/* As PyEval_SaveThread: detaches the thread as pyattach_detached_begin does, and returns the thread state that it was
 * attached with. Aborts if the thread is not attached. */
PYATTACH_API void *pyattach_gilstate_save(void);

/* As PyEval_RestoreThread: ends the gap of the save that returned `tstate`, as pyattach_detached_end does. A thread
 * state of which no gap is open attaches the thread: if it is the thread's own, as pyattach_gilstate_ensure does, until
 * the next save. May block and may run Python code. If Python ends, the thread is refused: once the second is over for
 * which an end waits for threads in a gap, and at once where no gap is open.
 *
 * Aborts if the thread is attached, if `tstate` is NULL, or if it is the warm thread state of another thread that has
 * not saved it. */
PYATTACH_API void pyattach_gilstate_restore(void *tstate);

/* As PyEval_AcquireThread: pyattach_gilstate_restore, but at a refusal the thread may be ended. */
PYATTACH_API void pyattach_gilstate_acquire_thread(void *tstate);
/* As PyEval_ReleaseThread: pyattach_gilstate_save. Aborts unless the thread is attached with `tstate`. */
PYATTACH_API void pyattach_gilstate_release_thread(void *tstate);

/* As PyGILState_GetThisThreadState. A thread that has no thread state gets its warm one, so a caller that would make
 * one of its own uses that. The first call in a process attaches, and so may block and may run Python code. Returns
 * NULL if no Python is found or runs, once the gate has closed, and where threads keep no thread states (see
 * warm_state.h). */
PYATTACH_API void *pyattach_gilstate_this_tstate(void);

/* As Py_IsFinalizing, and also not 0 as soon as the end of the main interpreter has begun (see
 * pyattach_interpreter_is_ending). On a thread that is neither attached nor in a gap, the answer 0 stays true until the
 * thread attaches: the end waits for that, for a second, and the attach is not refused. So a thread that is told 0 and
 * then does not attach delays the end by a second, once. Never blocks on Python and runs no Python code. Returns 0 if
 * there is no Python. */
PYATTACH_API int pyattach_gilstate_is_finalizing(void);

/* As PyThreadState_New. On a thread that is not attached: if the gate of the main interpreter has closed, the thread is
 * refused, and an end that begins meanwhile waits for this call. NULL: no memory. */
PYATTACH_API void *pyattach_gilstate_new_tstate(void *interp);
/* As PyThreadState_DeleteCurrent, which wants PyThreadState_Clear to have been called before. If an ensure or a restore
 * of routed code has attached the thread, also ends that; a warm thread state is deleted like any other, and the next
 * attach makes a new one. Aborts if another scope of this library is open with the warm thread state. May run Python
 * code. */
PYATTACH_API void pyattach_gilstate_delete_current(void);

/* Has the main interpreter registered soon (see pyattach_interpreter_current), by a pending call of CPython's, which
 * its main thread runs: for a constructor, which must not run Python code while the dynamic linker is locked. Does
 * nothing if no Python runs. Never blocks and runs no Python code. */
PYATTACH_API void pyattach_gilstate_register(void);

/* For what stops routing while calls are under way: whether the last call of routed code that this thread has open is
 * one that the next call ends. `tstate` not NULL: a save that pyattach_gilstate_restore(tstate) ends. NULL: a restore
 * that pyattach_gilstate_save() ends. Never blocks and runs no Python code. */
PYATTACH_API int pyattach_gilstate_is_open(const void *tstate);

/* What happens to a thread that is refused, after the handler has returned. */
typedef enum pyattach_refused {
    /* The thread sleeps for ever. No destructor of its frames runs. A thread that joins it waits for ever. */
    PYATTACH_REFUSED_PARK = 0,
    /* If nothing that is routed is open on the thread, and it was refused in an ensure, in pyattach_gilstate_new_tstate
     * or in pyattach_gilstate_acquire_thread, the thread ends as by pthread_exit, which runs the destructors of its
     * frames, and can be joined. A noexcept function below terminates the process. Otherwise as PYATTACH_REFUSED_PARK,
     * because frames of Python's may be on the stack. */
    PYATTACH_REFUSED_END_THREAD = 1
} pyattach_refused;

/* Sets what happens to refused threads; for the whole process. The default is PYATTACH_REFUSED_PARK. */
PYATTACH_API void pyattach_gilstate_set_refused(pyattach_refused policy);

/* What a refused thread calls first, on itself and not attached. `why`: PYATTACH_FINALIZING, PYATTACH_NOT_INITIALIZED
 * (Python has ended), or PYATTACH_UNSUPPORTED (in a fork child that may not use Python). It may end the thread, and
 * must not call Python. It is not called where CPython itself refuses a thread that this library let in. */
typedef void (*pyattach_refused_handler)(pyattach_status why, void *arg);
/* Sets the handler of the process, in place of the one before; NULL, the default: there is none. The caller owns `arg`,
 * which is passed on. When this function returns, the handler before may still be running on other threads. */
PYATTACH_API void pyattach_gilstate_set_refused_handler(pyattach_refused_handler handler, void *arg);

#ifdef __cplusplus
}
#endif
#endif
