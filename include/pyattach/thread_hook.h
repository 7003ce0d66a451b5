/* The thread hook: tells a debugger, a coverage tool or a profiler of the native threads that begin to use Python, and
 * of their end; and the names of these threads in Python.
 *
 * Python's own hooks (threading.settrace, threading.setprofile) are called for threads that `threading` starts. A
 * native thread that this library attaches runs no code of `threading`, so such a tool has to be told of it. */
#ifndef PYATTACH_THREAD_HOOK_H
#define PYATTACH_THREAD_HOOK_H

#include "interpreter.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the thread hook is told. */
typedef enum pyattach_thread_event {
    /* The calling thread has attached to an interpreter for the first time with a thread state that this library made.
     * A thread that keeps its thread state (see warm_state.h) causes this event once in each interpreter; a thread that
     * gets a new one at each outermost attach, at each. The thread is attached. sys.settrace and sys.setprofile hold
     * for this very thread state. */
    PYATTACH_THREAD_ATTACHED = 0,
    /* The calling thread, which caused at least one event PYATTACH_THREAD_ATTACHED, ends. It is not attached. */
    PYATTACH_THREAD_ENDED = 1
} pyattach_thread_event;

/* A thread hook. `interpreter`: the one to which the thread has attached; NULL for PYATTACH_THREAD_ENDED. */
typedef void (*pyattach_thread_hook)(pyattach_thread_event event, pyattach_interpreter *interpreter, void *arg);

/* Sets the thread hook of the process, in place of the one before. NULL, the default: there is none. The caller owns
 * `arg`, which is passed on. When this function returns, the hook before may still be running on other threads. Threads
 * whose thread state was made before cause no event, nor does the library's own thread.
 *
 * The hook is called on the thread that it is told of. PYATTACH_THREAD_ATTACHED: inside the attach, which returns after
 * it. The hook may run Python code and call any function of this library but pyattach_interpreter_stop, and ends each
 * scope that it begins. An exception that it leaves is reported through sys.unraisablehook. An attach with `no_drain`
 * (see pyattach_attach_options), or on a thread that holds a mutex or critical section of this library, does not call
 * the hook; the next other attach of the thread does. PYATTACH_THREAD_ENDED: when the thread ends, in its thread-exit
 * hook, after its scopes. The end of a thread does not wait for Python, so the hook should not attach; it may give
 * references back. A thread that still runs when the process ends causes no such event, nor does the thread that
 * returns from main().
 *
 * This function does not wait for Python and runs no Python code. */
PYATTACH_API void pyattach_set_thread_hook(pyattach_thread_hook hook, void *arg);

/* Whether native threads get their own names in Python. Not zero: where a thread would cause the event
 * PYATTACH_THREAD_ATTACHED, and before a thread hook is called, threading.current_thread().name becomes the name that
 * the system has for the thread (pthread_setname_np), if it has one. Later changes of that name are not noticed. Errors
 * are reported through sys.unraisablehook. This adds the thread to threading.enumerate(), as each call of
 * threading.current_thread() does. 0, the default: a thread is called Dummy-1, or the like, when Python code first
 * asks. Holds for the whole process. Does not wait for Python and runs no Python code. */
PYATTACH_API void pyattach_set_thread_names(int wanted);

#ifdef __cplusplus
}
#endif
#endif
