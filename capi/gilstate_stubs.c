/* The stubs of routed modules: what the linker option --wrap=NAME puts in the place of CPython's function NAME. They
 * are a static library of their own, which is linked into each routed module, and need neither Python.h nor the C++
 * runtime. <pyattach/route_gilstate.h> gives CPython's functions these names at compile time.
 *
 * CPython's own functions (the linker's __real_NAME) are not called here: libpyattach finds them in the running Python,
 * so a module may be linked to these stubs whatever version of Python it is for. */
#include "pyattach/gilstate.h"
#include "pyattach/route_gilstate.h"

/* Each routed module has its own, and exports none. */
#define STUB __attribute__((visibility("hidden")))

STUB int PyGILState_Ensure(void);
STUB void PyGILState_Release(int handle);
STUB void *PyGILState_GetThisThreadState(void);
STUB void *PyEval_SaveThread(void);
STUB void PyEval_RestoreThread(void *tstate);
STUB void PyEval_AcquireThread(void *tstate);
STUB void PyEval_ReleaseThread(void *tstate);
STUB int Py_IsFinalizing(void);
STUB int _Py_IsFinalizing(void);
STUB void *PyThreadState_New(void *interp);
STUB void PyThreadState_DeleteCurrent(void);

int PyGILState_Ensure(void) { return pyattach_gilstate_ensure(); }
void PyGILState_Release(int handle) { pyattach_gilstate_release(handle); }
void *PyGILState_GetThisThreadState(void) { return pyattach_gilstate_this_tstate(); }
void *PyEval_SaveThread(void) { return pyattach_gilstate_save(); }
void PyEval_RestoreThread(void *tstate) { pyattach_gilstate_restore(tstate); }
void PyEval_AcquireThread(void *tstate) { pyattach_gilstate_acquire_thread(tstate); }
void PyEval_ReleaseThread(void *tstate) { pyattach_gilstate_release_thread(tstate); }
int Py_IsFinalizing(void) { return pyattach_gilstate_is_finalizing(); }
int _Py_IsFinalizing(void) { return pyattach_gilstate_is_finalizing(); }
void *PyThreadState_New(void *interp) { return pyattach_gilstate_new_tstate(interp); }
void PyThreadState_DeleteCurrent(void) { pyattach_gilstate_delete_current(); }

/* A module that Python loads has the interpreter registered before its native threads attach, so that no first attach
 * races with the end of Python. */
__attribute__((constructor)) static void register_interpreter(void) { pyattach_gilstate_register(); }
