/* What every other header of libpyattach needs: visibility, the status, messages. */
#ifndef PYATTACH_BASE_H
#define PYATTACH_BASE_H

#include <stddef.h>
#include <stdint.h>

#include "version.h"

/* Attributes of the declarations. noplt: the call does not go through the procedure linkage table, whose jump would be
 * a noticeable part of calls as short as these. */
#if defined(__GNUC__)
#define PYATTACH_VISIBLE __attribute__((visibility("default")))
#define PYATTACH_NODISCARD __attribute__((warn_unused_result))
#else
#define PYATTACH_VISIBLE
#define PYATTACH_NODISCARD
#endif
#define PYATTACH_API PYATTACH_VISIBLE
#ifdef __has_attribute
#if __has_attribute(noplt)
#undef PYATTACH_API
#define PYATTACH_API PYATTACH_VISIBLE __attribute__((noplt))
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* errno: every function of this library restores it, whatever runs in between (a destructor, an exit callback, a wait),
 * as Py_END_ALLOW_THREADS does. So code that detached around a system call may read errno after it attached again. Only
 * pyattach_fork sets errno, and only if the system made no child. */

/* The tag of CPython's PyObject. */
struct _object;

/* The result of a call. A call that returns a status other than PYATTACH_OK has changed nothing, unless its comment
 * says so. */
typedef enum pyattach_status {
    /* The call succeeded. */
    PYATTACH_OK = 0,
    /* No interpreter runs: it was never started, or it has ended. */
    PYATTACH_NOT_INITIALIZED = 1,
    /* The interpreter is ending now, or the handle names one that has ended. This thread will not be attached to it
       again; the caller unwinds. */
    PYATTACH_FINALIZING = 2,
    /* The thread is inside a forbidden scope. */
    PYATTACH_FORBIDDEN = 3,
    /* The call needs an attached thread. */
    PYATTACH_NOT_ATTACHED = 4,
    /* Python raised an exception. The exception is set, as after any C API call that failed. */
    PYATTACH_PYTHON_ERROR = 5,
    /* Memory is short. */
    PYATTACH_NO_MEMORY = 6,
    /* No CPython is loaded in this process: see pyattach_python_load. */
    PYATTACH_NO_PYTHON = 7,
    /* This library does not work with the Python found; the message handler is told what is missing. Or this process is
       the child of a raw fork() (see fork.h), in which Python must not be used. */
    PYATTACH_UNSUPPORTED = 8,
    /* Native threads were still inside the interpreter at the time-out, or a hold was open, or a thread did not detach
       from Python: see pyattach_interpreter_stop. */
    PYATTACH_TIMED_OUT = 9,
    /* An argument is NULL or out of range, or the call is not allowed in this place. */
    PYATTACH_INVALID = 10
} pyattach_status;

/* Returns one English sentence about `status`, also for a number that is no status. Never NULL; the library owns the
 * text, which is valid for ever. Does not block and runs no Python code. */
PYATTACH_API const char *pyattach_status_message(pyattach_status status);

/* Returns the PYATTACH_VERSION from which the library in use was built; the macro is that of these headers. Does not
 * block and runs no Python code. */
PYATTACH_API unsigned pyattach_version(void);

/* Sets the message handler of the process, in place of the one before. NULL, the default: there is none.
 *
 * The handler is called with what a status cannot say: which symbol a Python lacks; why a start failed; which threads
 * were still inside when an exit stopped waiting. It is also called with the reason for which a call was refused with
 * PYATTACH_INVALID, PYATTACH_UNSUPPORTED, PYATTACH_FORBIDDEN or PYATTACH_NOT_INITIALIZED, and with what to do instead,
 * unless an argument was NULL. Each handler that is set gets each reason for a refusal once, however often it occurs.
 *
 * `message` is valid during the call of the handler only. The caller owns `arg`, which is passed on. The function of
 * this library that found the problem calls the handler, on any thread, attached or not. The handler must not call
 * Python. This function does not wait for Python and runs no Python code. */
PYATTACH_API void pyattach_set_message_handler(void (*handler)(const char *message, void *arg), void *arg);

#ifdef __cplusplus
}
#endif
#endif
