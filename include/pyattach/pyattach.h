/* libpyattach: any native thread may use Python, safely. The C API; C99 or later, or C++.
 *
 * No header here includes Python.h, and all of them work beside it in either order: a Python object is a
 * `struct _object *`, which is what CPython's own header calls a PyObject.
 *
 * Words. A thread is *attached* (it may call Python), *detached* (other threads may run Python meanwhile) or
 * *forbidden* (it is inside a tp_traverse function, where attaching would corrupt the garbage collector). Each word is
 * one header below. A *scope* is a part of a thread's execution, from a begin to its end, in which the thread is in
 * that state.
 *
 * Rules that hold for every function:
 * - No call throws a C++ exception, calls exit(), or prints. Misuse aborts after one message on standard error, which
 *   gives what happened, the rule it broke and what to do instead.
 * - What the environment refuses is a pyattach_status. A refused call has changed nothing, except where its comment
 *   gives an exception.
 * - No call sets or clears Python's error indicator, unless it returns PYATTACH_PYTHON_ERROR or its comment states it.
 * - NULL where an object is required gives PYATTACH_INVALID; functions that return void ignore it.
 * - The storage of a scope is the caller's, and its address identifies the scope: it is never copied or moved. A scope
 *   is ended on the thread that began it. Detached and forbidden scopes are ended innermost first; nested attached
 *   scopes in any order among themselves, and the scope that attached the thread last.
 * - A function whose comment has neither "may block" nor "may run Python code" does neither.
 */
#ifndef PYATTACH_PYATTACH_H
#define PYATTACH_PYATTACH_H

#include "base.h"
#include "interpreter.h"
#include "attached.h"
#include "detached.h"
#include "forbidden.h"
#include "hold.h"
#include "fork.h"
#include "gilstate.h"
#include "pool.h"
#include "warm_state.h"
#include "thread_hook.h"
#include "mutex.h"
#include "critical_section.h"
#include "once.h"
#include "call.h"
#include "stats.h"
#include "threads.h"
#include "trace.h"

#endif
