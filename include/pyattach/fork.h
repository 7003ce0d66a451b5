/* Fork: processes that continue to use Python in the child.
 *
 * A raw fork() is one of which Python was not notified; os.fork() and pyattach_fork() notify it. In its child the GIL
 * and other locks of Python's may be held by threads that the child does not have. */
#ifndef PYATTACH_FORK_H
#define PYATTACH_FORK_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Forks as os.fork() does, and notifies Python before and after. In the child the calling thread is the only one, and
 * may use Python. The calling thread may be attached or not; if it is not, it is attached to the main interpreter for
 * the duration of the call. Both processes return, each in the state in which the caller was, with the caller's open
 * scopes. `pid` receives 0 in the child, and the process id of the child in the parent. Unlike os.fork() the call
 * raises no audit event and issues no warning about threads.
 *
 * May block. Runs Python code: the functions passed to os.register_at_fork; registration of the interpreter.
 *
 * PYATTACH_OK: there are two processes now.
 * PYATTACH_NO_MEMORY: the system made no process, and errno is as fork() set it; or memory is short.
 * PYATTACH_UNSUPPORTED: there are sub-interpreters, which no CPython survives in a fork child; or the Python found
 *   cannot be used; or this process is the child of a raw fork(). The message handler is told which.
 * PYATTACH_INVALID: `pid` is NULL.
 * PYATTACH_NO_PYTHON, PYATTACH_NOT_INITIALIZED, PYATTACH_FINALIZING, PYATTACH_FORBIDDEN: as pyattach_attached_begin. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_fork(long long *pid);

/* In the child of a raw fork(), as in a program that becomes a daemon: restores Python, so that the calling thread and
 * every other thread of the child may use it. It is called on the thread that forked, which may be attached or not, and
 * stays so. The first pyattach_attached_begin of that thread does the same by itself, as does the end of a detached
 * scope. So this function is needed only if another thread of the child attaches first.
 *
 * May block. Runs Python code: the functions passed to os.register_at_fork, those for before the fork included.
 *
 * PYATTACH_OK: Python may be used; also if there was nothing to do.
 * PYATTACH_UNSUPPORTED: Python stays refused in this process; the message handler is told why. Either another thread of
 *   the parent was inside Python at the fork, or may have been: that thread is not in the child, and may hold locks of
 *   Python's. Or this is not the thread that forked, and that thread has not made this call yet. Or Python's own
 *   after-fork function (PyOS_AfterFork_Child) is running. Or the Python found cannot be used.
 * PYATTACH_NOT_INITIALIZED: no Python runs.
 * PYATTACH_NO_PYTHON, PYATTACH_FINALIZING, PYATTACH_FORBIDDEN, PYATTACH_NO_MEMORY: as pyattach_attached_begin. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_forked(void);

#ifdef __cplusplus
}
#endif
#endif
