/* What every other header of libpyattach needs: visibility, the status, messages. */
#ifndef PYATTACH_BASE_H
#define PYATTACH_BASE_H

#include <stddef.h>
#include <stdint.h>

#include "version.h"

/* What the declarations say to the compiler. noplt: the call goes straight into the library; calls as short as these
 * would notice the jump on the way. */
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

/* errno: every function of this library keeps it, whatever runs in between (a destructor, an exit callback, a wait), as
 * Py_END_ALLOW_THREADS does. So code that detached around a system call may look at errno after it attached again. Only
 * pyattach_fork sets it, where there is no child. */

/* CPython's name for PyObject. */
struct _object;

/* What the environment answered. A call that returns anything but OK has changed nothing, unless it says so. */
typedef enum pyattach_status {
    /* Done. */
    PYATTACH_OK = 0,
    /* No interpreter runs: it was never started, or it has ended. */
    PYATTACH_NOT_INITIALIZED = 1,
    /* The interpreter is ending now, or the handle names one that has ended. Unwind: this thread will not be attached
       again. */
    PYATTACH_FINALIZING = 2,
    /* The thread is inside a forbidden scope. */
    PYATTACH_FORBIDDEN = 3,
    /* The call needs an attached thread. */
    PYATTACH_NOT_ATTACHED = 4,
    /* Python raised an exception; it is set, as after any C API call that failed. */
    PYATTACH_PYTHON_ERROR = 5,
    /* Memory is short. */
    PYATTACH_NO_MEMORY = 6,
    /* No CPython is loaded in this process: see pyattach_python_load. */
    PYATTACH_NO_PYTHON = 7,
    /* The Python found is not one this library works with; the message handler is told what is missing. Also: this is
     * the child of a raw fork(), where Python is not in order. */
    PYATTACH_UNSUPPORTED = 8,
    /* Native threads were still inside at the limit, or one keeps Python: see pyattach_interpreter_stop. */
    PYATTACH_TIMED_OUT = 9,
    /* An argument is NULL or out of range, or the call is not allowed here. */
    PYATTACH_INVALID = 10
} pyattach_status;

/* One English sentence, never NULL, valid for ever; also for numbers that are no status. */
PYATTACH_API const char *pyattach_status_message(pyattach_status status);

/* The PYATTACH_VERSION that the library in use was built from; the macro is that of these headers. */
PYATTACH_API unsigned pyattach_version(void);

/* Tells `handler` what no status can carry: which symbol a Python lacks, why a start failed, which threads were still
 * inside when an exit gave up waiting; and why a call was refused with INVALID, UNSUPPORTED, FORBIDDEN or
 * NOT_INITIALIZED, and what to do instead, unless an argument was NULL. A refusal is told once to each handler that is
 * set, however often it happens. The text is valid during the call only. The handler, called with `arg`, may be called
 * on any thread, attached or not, by the call that met the problem; it must not call back into Python. NULL: nobody is
 * told (the default). */
PYATTACH_API void pyattach_set_message_handler(void (*handler)(const char *message, void *arg), void *arg);

#ifdef __cplusplus
}
#endif
#endif
