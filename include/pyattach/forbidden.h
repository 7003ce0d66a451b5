/* Forbidden: a tp_traverse function runs on this thread.
 *
 * CPython's rule (see "Supporting Cyclic Garbage Collection" in its documentation): a tp_traverse function has no side
 * effects. CPython reports such a thread as attached. Therefore a forbidden scope marks it, so that no attach, no
 * returned reference and no drain of the pool changes reference counts while the collector runs. Inside the scope,
 * attaching and detaching are refused with PYATTACH_FORBIDDEN, pyattach_is_attached returns 0, and references given
 * back are queued. */
#ifndef PYATTACH_FORBIDDEN_H
#define PYATTACH_FORBIDDEN_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Storage of a forbidden scope. The caller allocates it, does not initialize it and never moves it while the scope is
 * open. */
typedef struct pyattach_forbidden {
    void *opaque[4]; /* private to the library */
} pyattach_forbidden;

/* Begins a forbidden scope. Forbidden scopes nest. Works on every thread, attached or not. NULL is ignored. Does not
 * block, allocates nothing and runs no Python code. */
PYATTACH_API void pyattach_forbidden_begin(pyattach_forbidden *scope);

/* Ends a forbidden scope, the innermost first. NULL is ignored. Does not block and runs no Python code. Aborts if the
 * scope ends out of order, ends twice or ends on another thread. */
PYATTACH_API void pyattach_forbidden_end(pyattach_forbidden *scope);

/* Returns 1 if the calling thread is inside a forbidden scope, else 0. Does not block and runs no Python code. */
PYATTACH_API int pyattach_is_forbidden(void);

#ifdef __cplusplus
}
#endif
#endif
