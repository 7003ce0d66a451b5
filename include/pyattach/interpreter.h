/* Which Python, which interpreter, and how it starts and ends. */
#ifndef PYATTACH_INTERPRETER_H
#define PYATTACH_INTERPRETER_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- Which Python ----------------------------------------------------------------------------------------------------
 * The library links no libpython. On first use it looks for CPython in the process: in the global scope, then among the
 * loaded libraries, also those loaded RTLD_LOCAL. While there is none it looks again at every call, and asks the dynamic
 * linker for that, which makes a thread wait while another one is loading a library. A library's constructor may call
 * this library. What was found stays loaded for good. A Python that will not do is refused with UNSUPPORTED, and the
 * message handler is told the reason, once. */

/* Names the Python to use, before anything else, or not at all. `path` is a libpython, as for dlopen. NULL: the Python
 * in the process, else the newest libpython that the dynamic linker finds; pyattach_python_describe says which that was.
 *
 * The symbols of the Python in use are made global (RTLD_NOW | RTLD_GLOBAL), also if it was loaded RTLD_LOCAL, as when
 * a plugin links it: extension modules that do not link libpython look for them there. pyattach_interpreter_start does
 * the same for a Python that does not run yet. A Python that is only found keeps the scope that its host chose.
 *
 * May block (the dynamic linker); runs initialisers of the loaded library, no Python code. Of threads that name
 * different Pythons at once the first to be ready wins. The message handler is told the reason of every refusal.
 * PYATTACH_NO_PYTHON: nothing there, or no CPython.
 * PYATTACH_UNSUPPORTED: not CPython 3.9 or newer, or a function is missing.
 * PYATTACH_INVALID: another Python is in use already; or the path is empty.
 * PYATTACH_NO_MEMORY */
PYATTACH_API pyattach_status pyattach_python_load(const char *path);

/* What pyattach_python_describe says. */
typedef struct pyattach_python {
    size_t struct_size;   /* set by the caller to sizeof(pyattach_python) */
    unsigned version_hex; /* as Py_Version: 0x030d00f0 is 3.13.0 */
    int free_threaded;    /* built without the GIL; it may still be switched on at run time */
    int debug;            /* a debug build of CPython */
    const char *path;     /* the file that holds CPython, valid for ever */
} pyattach_python;

/* Describes the Python in use: fills as much of *out as struct_size says. It need not run.
 * PYATTACH_NO_PYTHON: none is loaded.
 * PYATTACH_UNSUPPORTED: as above.
 * PYATTACH_INVALID: NULL, or struct_size is zero.
 * PYATTACH_NO_MEMORY */
PYATTACH_API pyattach_status pyattach_python_describe(pyattach_python *out);

/* --- Interpreters ----------------------------------------------------------------------------------------------------
 * A handle names one life of one interpreter. It is valid to pass for ever; once that life has ended, calls refuse it
 * with FINALIZING. First contact: the first call that meets an interpreter, on whatever thread, registers an `atexit`
 * callback there (see "Exit"), which may run Python code (it imports `threading` and `atexit`); an exception that is
 * pending is kept. */

/* A handle. */
typedef struct pyattach_interpreter pyattach_interpreter;

/* The main interpreter; NULL if none runs. First contact attaches for a moment, so it may block and run Python code. */
PYATTACH_API pyattach_interpreter *pyattach_interpreter_main(void);

/* The interpreter this thread is attached to; NULL unless attached. First contact may run Python code. */
PYATTACH_API pyattach_interpreter *pyattach_interpreter_current(void);

/* Initialises Python unless it runs already, waits until it is usable (`site` has been imported), and leaves the caller
 * detached; if it ran already, leaves the caller as it was. Any number of threads may race. Installs no signal
 * handlers. The calling thread becomes Python's main thread. May block, runs Python code. NO_PYTHON, UNSUPPORTED;
 * NOT_INITIALIZED: Python refused to start (the message handler is told why); it
 * may be tried again, but CPython itself cannot once it failed half way; FORBIDDEN. */
PYATTACH_API pyattach_status pyattach_interpreter_start(void);

/* How Python is to start. Zero is the default of each. */
typedef struct pyattach_start_options {
    size_t struct_size;          /* set by the caller to sizeof(pyattach_start_options) */
    const char *program_name;    /* NULL: Python's default. Encoded in the locale's encoding, as `home` */
    const char *home;            /* PYTHONHOME; NULL: found by Python */
    int isolated;                /* as `python3 -I`: environment variables and the user's site directory are ignored */
    int install_signal_handlers; /* as `python3` does: SIGINT becomes KeyboardInterrupt */
} pyattach_start_options;

/* The same with options; NULL: none. They have no effect if Python runs already. Besides INVALID: struct_size is zero.
 */
PYATTACH_API pyattach_status pyattach_interpreter_start_with(const pyattach_start_options *options);

/* For hosts: ends Python as Py_FinalizeEx does, which waits for native threads inside (see "Exit"). Only on the
 * interpreter's main thread, whoever started it; attached scopes open on that thread become inert: ending them does
 * nothing. Blocks, runs Python code. NO_PYTHON, UNSUPPORTED; INVALID: another thread, or inside a detached scope;
 * FORBIDDEN; NOT_INITIALIZED: nothing runs; UNSUPPORTED also in the child of a raw fork(); TIMED_OUT: ended, but
 * threads were still inside; PYTHON_ERROR: ended, but flushing a file failed (no exception is set). */
PYATTACH_API pyattach_status pyattach_interpreter_stop(void);

/* --- Exit ------------------------------------------------------------------------------------------------------------
 * When an interpreter ends (Py_FinalizeEx, the end of `python3`, Py_EndInterpreter), its `atexit` callback of ours:
 * closes the gate: new attaches are refused with FINALIZING; runs the exit callbacks below; waits, detached, for the
 * native threads inside; releases what the pool holds. A thread is inside from the attached_begin that attached it
 * until that scope ends, detached scopes between included. Threads inside and attached are waited for up to the
 * time-out, threads inside but detached for one second of it (in a sub-interpreter, up to CPython 3.13, for all of it):
 * their pyattach_detached_end then returns FINALIZING.
 * Threads that Python or another library attached never hold exit up. */

/* How long an exit waits, in nanoseconds; -1 for ever (Ctrl-C still ends it). Default: 10 s. At the limit the message
 * handler is told who is still inside, Python gets a RuntimeWarning, and the exit goes on. */
PYATTACH_API void pyattach_set_exit_timeout(long long timeout_ns);

/* Called with the interpreter that ends, and what was given when it was added. */
typedef void (*pyattach_exit_callback)(pyattach_interpreter *, void *arg);

/* Has `callback` called once when the interpreter begins to end: after its gate closed, before the wait, on the ending
 * thread, detached, so that it can wake and join native threads. In the order of registration. A child
 * made by fork() does not inherit the registration. INVALID: NULL; FINALIZING: too late; NO_MEMORY. */
PYATTACH_API pyattach_status pyattach_exit_callback_add(pyattach_interpreter *, pyattach_exit_callback callback,
                                                        void *arg);

/* How an exit callback is to be called. Zero is the default of each. */
typedef struct pyattach_exit_callback_options {
    size_t struct_size; /* set by the caller to sizeof(pyattach_exit_callback_options) */
    int in_fork_child;  /* also in a child made by fork() that ends Python. Otherwise the registration is not inherited:
                         * the threads that a callback wakes and joins are not there */
} pyattach_exit_callback_options;

/* The same for `callback` with `arg` in `interpreter`, with options; `options` NULL: none. PYATTACH_INVALID: also where
 * struct_size is zero. PYATTACH_FINALIZING, PYATTACH_NO_MEMORY: as above. */
PYATTACH_API pyattach_status pyattach_exit_callback_add_with(pyattach_interpreter *interpreter,
                                                             pyattach_exit_callback callback, void *arg,
                                                             const pyattach_exit_callback_options *options);

/* Takes back one registration of `callback` with `arg` for `interpreter`. After either answer `arg` is not used any
 * more, so what it points to may be freed: a call that is under way on another thread is waited for, detached, without
 * a limit. (On the thread that makes the call, inside the callback, nothing is waited for; nor may the callback wait
 * for the thread that takes it back.) May block; runs no Python code. PYATTACH_OK: it will not be called.
 * PYATTACH_INVALID: it is not registered; it was called, and has returned; this is a fork child, which did not inherit
 * it. Or an argument is NULL. */
PYATTACH_API pyattach_status pyattach_exit_callback_remove(pyattach_interpreter *interpreter,
                                                           pyattach_exit_callback callback, void *arg);

#ifdef __cplusplus
}
#endif
#endif
