/* Forbidden: a tp_traverse function runs on this thread.
 *
 * CPython's rule (see "Supporting Cyclic Garbage Collection"): traversing has no side effects. The thread looks
 * attached there, so only this mark keeps an attach, a drop or a drain from changing reference counts under the
 * collector. Inside, attaching and detaching are refused with FORBIDDEN, pyattach_is_attached is 0, and references
 * given back are queued. */
#ifndef PYATTACH_FORBIDDEN_H
#define PYATTACH_FORBIDDEN_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Storage of a forbidden scope; the caller's, not initialised, never moved. */
typedef struct pyattach_forbidden {
    void *opaque[4]; /* the library's */
} pyattach_forbidden;

/* They nest. Ending one out of order, twice, or on another thread aborts. */
PYATTACH_API void pyattach_forbidden_begin(pyattach_forbidden *);
PYATTACH_API void pyattach_forbidden_end(pyattach_forbidden *);

/* 1 inside a forbidden scope. */
PYATTACH_API int pyattach_is_forbidden(void);

#ifdef __cplusplus
}
#endif
#endif
