/* Which Python, which interpreter, and how it starts and ends. */
#ifndef PYATTACH_INTERPRETER_H
#define PYATTACH_INTERPRETER_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- Which Python ----------------------------------------------------------------------------------------------------
 * The library links no libpython. On first use it searches for CPython in the process: in the global scope, then among
 * the loaded libraries, also those loaded with RTLD_LOCAL. While there is none, every call searches again. The search
 * calls the dynamic linker, which blocks while another thread loads a library. The constructor of a library may call
 * this library. A Python that was found stays loaded for the life of the process. A Python that cannot be used is
 * refused with PYATTACH_UNSUPPORTED, and the message handler is told the reason, once. */

/* Chooses the Python to use. This is called before any other function of this library, or not at all. `path` names a
 * libpython, as for dlopen. NULL: the Python in the process, else the newest libpython that the dynamic linker finds;
 * pyattach_python_describe returns which one that was.
 *
 * The symbols of the Python in use are made global (RTLD_NOW | RTLD_GLOBAL), even if it was loaded with RTLD_LOCAL, as
 * happens when a plugin links it, because extension modules that do not link libpython find them only there.
 * pyattach_interpreter_start does the same for a Python that does not run yet. If this function is not called, a Python
 * that runs already keeps the symbol scope that its host chose.
 *
 * If several threads name different Pythons at once, the first one to be ready is used. The message handler is told the
 * reason of every refusal.
 *
 * May block, for the dynamic linker. Runs the initializers of the library that is loaded, but no Python code.
 *
 * PYATTACH_OK: the Python is in use.
 * PYATTACH_NO_PYTHON: there is no such library, or it is not CPython.
 * PYATTACH_UNSUPPORTED: it is not CPython 3.9 or newer, or a function is missing.
 * PYATTACH_INVALID: another Python is in use already; or `path` is empty.
 * PYATTACH_NO_MEMORY: memory is short. */
PYATTACH_API pyattach_status pyattach_python_load(const char *path);

/* A description of the Python in use. */
typedef struct pyattach_python {
    size_t struct_size;   /* set by the caller to sizeof(pyattach_python) */
    unsigned version_hex; /* as Py_Version: 0x030d00f0 is 3.13.0 */
    int free_threaded;    /* 1: built without the GIL, which may still be switched on at run time */
    int debug;            /* 1: a debug build of CPython */
    const char *path;     /* the file that holds CPython; the library owns the text, which is valid for ever */
} pyattach_python;

/* Describes the Python in use, which need not run: writes as many bytes of *out as struct_size says. May block, for the
 * dynamic linker, while no Python is in use. Runs no Python code.
 *
 * PYATTACH_OK: *out is filled in.
 * PYATTACH_NO_PYTHON: none is loaded.
 * PYATTACH_UNSUPPORTED: as pyattach_python_load.
 * PYATTACH_INVALID: `out` is NULL, or struct_size is zero.
 * PYATTACH_NO_MEMORY: memory is short. */
PYATTACH_API pyattach_status pyattach_python_describe(pyattach_python *out);

/* --- Interpreters ----------------------------------------------------------------------------------------------------
 * A handle names one life of one interpreter, from its start to its end. The library owns the handle, which stays valid
 * for ever: once the interpreter has ended, calls refuse the handle with PYATTACH_FINALIZING.
 *
 * Registration: the first call that uses an interpreter, on whatever thread, registers an `atexit` callback there (see
 * "Exit"). That may run Python code, since it imports `threading` and `atexit`; a pending exception is kept. Other
 * threads that need the interpreter wait for the registration, a second at most. */

/* A handle. */
typedef struct pyattach_interpreter pyattach_interpreter;

/* Returns the handle of the main interpreter; NULL if none runs. If the interpreter is not registered yet, attaches for
 * the time of the call, and so may block and may run Python code. */
PYATTACH_API pyattach_interpreter *pyattach_interpreter_main(void);

/* Returns the handle of the interpreter to which the calling thread is attached; NULL if the thread is not attached, is
 * inside a forbidden scope, or memory is short. May run Python code, and may block: registration of the interpreter. */
PYATTACH_API pyattach_interpreter *pyattach_interpreter_current(void);

/* Initializes Python, unless it runs already, waits until it is usable (`site` has been imported), and leaves the
 * caller detached. If Python ran already, the caller is left as it was. Any number of threads may call this at once.
 * Installs no signal handlers. The thread that initializes Python becomes Python's main thread, the only one that may
 * stop it.
 *
 * If another thread is ending Python and is past the point where that can be seen from outside (Py_IsInitialized
 * returns 0), this call waits for the end and starts Python again. So nothing that runs during the end may wait for the
 * calling thread. If the host itself called Py_FinalizeEx, this call waits a tenth of a second more, for its last
 * instructions and for what other code registered with Py_AtExit.
 *
 * May block. Runs Python code.
 *
 * PYATTACH_OK: Python runs and is usable.
 * PYATTACH_NO_PYTHON, PYATTACH_UNSUPPORTED, PYATTACH_NO_MEMORY: as pyattach_python_load; UNSUPPORTED and NO_MEMORY also
 *   as pyattach_attached_begin.
 * PYATTACH_NOT_INITIALIZED: Python refused to start; the message handler is told why. The call may be repeated, but a
 *   CPython whose start failed half way cannot be started any more.
 * PYATTACH_FINALIZING: Python is ending, but Py_IsInitialized still returns 1; or the calling thread itself ends it.
 * PYATTACH_FORBIDDEN: the thread is inside a forbidden scope. */
PYATTACH_API pyattach_status pyattach_interpreter_start(void);

/* How Python is to start. Zero is the default of each member. The caller owns the texts, which are read during the call
 * only. */
typedef struct pyattach_start_options {
    size_t struct_size;          /* set by the caller to sizeof(pyattach_start_options) */
    const char *program_name;    /* in the locale's encoding; NULL: Python's default */
    const char *home;            /* PYTHONHOME, in the locale's encoding; NULL: Python finds it */
    int isolated;                /* 1: as `python3 -I`, ignores environment variables and the user's site directory */
    int install_signal_handlers; /* 1: as `python3` does, SIGINT becomes KeyboardInterrupt */
} pyattach_start_options;

/* Starts Python with options. `options` NULL: the default ones. Options have no effect if Python runs already.
 * Everything else is as for pyattach_interpreter_start.
 *
 * PYATTACH_INVALID: struct_size is zero. */
PYATTACH_API pyattach_status pyattach_interpreter_start_with(const pyattach_start_options *options);

/* For hosts: ends Python as Py_FinalizeEx does, and waits for the native threads inside (see "Exit"). Unlike
 * Py_FinalizeEx it also limits the wait for a thread that stays attached in native code. It first joins Python's own
 * threads and runs all `atexit` callbacks; then the gate closes. Attached scopes that are open on the calling thread
 * become inert: ending them does nothing.
 *
 * Only Python's main thread, the one that started it, may call this, and not below anything that continues afterwards:
 * a Python function, a detached scope, an exit callback, a destructor. For each refusal the message handler is told
 * what to do instead.
 *
 * The exit time-out limits two waits: at the beginning until the calling thread can attach (for which the limit is
 * never below one second), and later for the threads inside. After that the calling thread has to attach again, within
 * one second more. Nothing limits the time of Python's own threads, of `atexit` and exit callbacks, of destructors, of
 * sub-interpreters that are left, and of other copies of this library.
 *
 * Blocks. Runs Python code.
 *
 * PYATTACH_OK: Python has ended.
 * PYATTACH_TIMED_OUT: threads were still inside at the time-out, or holds open. Python has ended; those threads are
 *   parked when they next need it, and must not be joined. Or a thread stays attached in native code, and Python has
 *   not ended: then pyattach_interpreter_main does not return NULL. The calling thread is left detached, and the gate
 *   stays closed, unless it was at the beginning that the thread could not attach. Either call this again, which waits
 *   again, or leave the process with _exit().
 * PYATTACH_PYTHON_ERROR: Python has ended, but flushing a file failed. No exception is set.
 * PYATTACH_NO_PYTHON: as pyattach_python_load.
 * PYATTACH_UNSUPPORTED: as pyattach_python_load; or this process is the child of a raw fork() (see fork.h).
 * PYATTACH_INVALID: called on another thread, or below something that continues afterwards.
 * PYATTACH_FORBIDDEN: the thread is inside a forbidden scope.
 * PYATTACH_NOT_INITIALIZED: no Python runs, or its end is under way.
 * PYATTACH_NO_MEMORY: memory is short. */
PYATTACH_API pyattach_status pyattach_interpreter_stop(void);

/* --- Exit ------------------------------------------------------------------------------------------------------------
 * Each interpreter has a gate, which native threads pass when they attach. When the interpreter ends (Py_FinalizeEx,
 * the end of `python3`, Py_EndInterpreter), the `atexit` callback of this library closes the gate, so that new attaches
 * are refused with PYATTACH_FINALIZING; runs the exit callbacks below; waits, detached, for the native threads inside;
 * and releases the references in the pool.
 *
 * A hold (hold.h) keeps the gate open, up to the time-out, until it is ended: then attaches are refused only after the
 * exit callbacks and the last hold.
 *
 * A thread is inside from the pyattach_attached_begin that attached it until that scope ends, detached scopes in
 * between included. The end waits for threads that are inside and attached up to the time-out. For threads that are
 * inside but detached it waits at most one second of this time (in a sub-interpreter, up to CPython 3.13, all of it);
 * from then on their pyattach_detached_end returns PYATTACH_FINALIZING. A thread that is attached but sleeps in a call
 * that has detached it without this library (queue.get, time.sleep, accept) is treated alike, once all that are left
 * have slept for a second: the message handler is told, and the thread is left to CPython, which hangs or ends it if it
 * needs Python again after the end. The end never waits for threads that Python or another library attached.
 *
 * `atexit` callbacks that were registered before the interpreter was registered here run before the gate closes, and
 * so may wait for native threads; with Py_FinalizeEx from CPython 3.14 on they run after it has closed. */

/* Sets how long the end of an interpreter waits for the threads inside, in nanoseconds; -1: without a limit. The
 * default is 10 s. Ctrl-C ends the wait in any case, unless a thread stays attached in native code. Does not block and
 * runs no Python code.
 *
 * At the time-out the message handler is told which threads are still inside and which holds are open, before the end
 * waits for anything else. Then the thread that ends Python has to attach again. If another thread stays attached in
 * native code, pyattach_interpreter_stop returns PYATTACH_TIMED_OUT, whereas Py_FinalizeEx and the end of `python3`
 * cannot return early, and wait for as long as that thread stays attached. Once attached, the end issues a
 * RuntimeWarning, and continues. */
PYATTACH_API void pyattach_set_exit_timeout(long long timeout_ns);

/* An exit callback. It is called with the interpreter that ends and with the `arg` that was given when it was added. */
typedef void (*pyattach_exit_callback)(pyattach_interpreter *interpreter, void *arg);

/* Registers `callback` to be called once when `interpreter` begins to end, after its gate closed (if there are holds,
 * before that: see hold.h) and before the wait. It is called on the thread that ends the interpreter, which is detached
 * meanwhile, so that the callback can wake and join native threads. The callback that was registered last is called
 * first, as with `atexit` and destructors. A child made by fork() does not inherit the registration. The caller owns
 * `arg`, which is only passed on. Does not wait for Python and runs no Python code.
 *
 * PYATTACH_OK: the callback is registered.
 * PYATTACH_FINALIZING: the interpreter is ending or has ended.
 * PYATTACH_INVALID: `interpreter` or `callback` is NULL.
 * PYATTACH_NO_MEMORY: memory is short. */
PYATTACH_API pyattach_status pyattach_exit_callback_add(pyattach_interpreter *interpreter,
                                                        pyattach_exit_callback callback, void *arg);

/* How an exit callback is to be called. Zero is the default of each member. */
typedef struct pyattach_exit_callback_options {
    size_t struct_size; /* set by the caller to sizeof(pyattach_exit_callback_options) */
    int in_fork_child;  /* 1: also in a child made by fork(), when the child ends Python. 0: the child does not inherit
                         * the registration, since it does not have the threads that a callback wakes and joins */
} pyattach_exit_callback_options;

/* Registers `callback` with options. `options` NULL: the default ones. Everything else is as for
 * pyattach_exit_callback_add.
 *
 * PYATTACH_INVALID: `interpreter` or `callback` is NULL, or struct_size is zero. */
PYATTACH_API pyattach_status pyattach_exit_callback_add_with(pyattach_interpreter *interpreter,
                                                             pyattach_exit_callback callback, void *arg,
                                                             const pyattach_exit_callback_options *options);

/* Removes one registration of `callback` with `arg` for `interpreter`, the last one. After PYATTACH_OK and
 * PYATTACH_INVALID alike the library does not use `arg` any more, so what it points to may be freed.
 *
 * May block: if another thread is running the callback, this call waits until it has returned, detached and without a
 * limit. Inside the callback, on the thread that runs it, this call waits for nothing. The callback must not wait for a
 * thread that removes it. Runs no Python code.
 *
 * PYATTACH_OK: the callback will not be called.
 * PYATTACH_INVALID: the callback is not registered; or it was called, and has returned; or this process is a fork
 * child, which did not inherit it; or `interpreter` or `callback` is NULL. */
PYATTACH_API pyattach_status pyattach_exit_callback_remove(pyattach_interpreter *interpreter,
                                                           pyattach_exit_callback callback, void *arg);

#ifdef __cplusplus
}
#endif
#endif
