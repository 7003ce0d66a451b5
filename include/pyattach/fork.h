/* Fork: processes that go on with Python in the child. */
#ifndef PYATTACH_FORK_H
#define PYATTACH_FORK_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Forks as os.fork() does, with Python told before and after: in the child this thread is the only one, and may use
 * Python. Attached or not: a thread that is not attached is attached for the time of the call, to the main interpreter.
 * Both processes return, each in the state the caller was in, with its open scopes. `pid` receives 0 in the child, and
 * the child's process id in the parent. May block; runs Python code (what os.register_at_fork registered; first
 * contact). It makes neither the audit event nor the warning about threads that os.fork() makes. PYATTACH_OK: there are
 * two processes now. PYATTACH_INVALID: `pid` is NULL. PYATTACH_NO_MEMORY: the system made no process; errno is as
 * fork() left it. Or memory is short. PYATTACH_UNSUPPORTED: there are sub-interpreters, which no CPython survives in a
 * fork child; or the Python found cannot be used; or this is the child of a raw fork(). The message handler is told
 * which. PYATTACH_NO_PYTHON, PYATTACH_NOT_INITIALIZED, PYATTACH_FINALIZING, PYATTACH_FORBIDDEN: as
 * pyattach_attached_begin. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_fork(long long *pid);

/* In the child of a raw fork(), one that Python was not told of, as of a program that becomes a daemon: puts Python in
 * order, so that this and every other thread of the child may use it. On the thread that forked, attached or not, which
 * stays as it is. The first pyattach_attached_begin of that thread does the same by itself, as does the end of a
 * detached scope; this says when, and is needed where other threads of the child attach first. May block; runs Python
 * code (what os.register_at_fork registered, also for before the fork). PYATTACH_OK: Python is in order; also where
 * there was nothing to do. PYATTACH_UNSUPPORTED: Python stays refused in this process, because another thread of the
 * parent was inside Python at the fork, or may have been, so that locks of Python's may be held by a thread that is not
 * here; or it is the turn of the thread that forked; or Python's own after-fork is under way. The message handler is
 * told which. Or the Python found cannot be used. PYATTACH_NOT_INITIALIZED: no Python runs. PYATTACH_NO_PYTHON,
 * PYATTACH_FINALIZING, PYATTACH_FORBIDDEN, PYATTACH_NO_MEMORY: as pyattach_attached_begin. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_forked(void);

#ifdef __cplusplus
}
#endif
#endif
