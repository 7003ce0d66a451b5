/* Routes the calls of a source file to this library, where the linker has no option --wrap. For the compiler:
 *
 *     cc -include pyattach/route_gilstate.h ...
 *
 * or included first in each source file. Gives CPython's functions other names, under which the small static library
 * libpyattach-gilstate.a defines them, so the module is linked with that and with libpyattach (see docs/adopt.md). What
 * each does is said in gilstate.h. A function whose address another module passes in is not routed, nor is one that is
 * looked up by its name.
 */
#ifndef PYATTACH_ROUTE_GILSTATE_H
#define PYATTACH_ROUTE_GILSTATE_H

#ifdef Py_PYTHON_H
#error "pyattach/route_gilstate.h comes before Python.h: use the compiler option -include"
#endif

/* The name of the stub of the function. */
#define PyGILState_Ensure __wrap_PyGILState_Ensure
#define PyGILState_Release __wrap_PyGILState_Release
#define PyGILState_GetThisThreadState __wrap_PyGILState_GetThisThreadState
#define PyEval_SaveThread __wrap_PyEval_SaveThread
#define PyEval_RestoreThread __wrap_PyEval_RestoreThread
#define PyEval_AcquireThread __wrap_PyEval_AcquireThread
#define PyEval_ReleaseThread __wrap_PyEval_ReleaseThread
#define Py_IsFinalizing __wrap_Py_IsFinalizing
#define _Py_IsFinalizing __wrap__Py_IsFinalizing
#define PyThreadState_New __wrap_PyThreadState_New
#define PyThreadState_DeleteCurrent __wrap_PyThreadState_DeleteCurrent

#endif
