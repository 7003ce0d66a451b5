/* Warm thread states: a native thread keeps its Python thread state from its first attach to its end.
 *
 * So later attaches are cheap, and `threading.local` values, context variables and trace functions survive between
 * them. A thread that ends never waits for Python: its state is deleted by a later attach of another thread, or when
 * the interpreter ends. States made by others (Python's own threads, PyGILState_Ensure) are used, never kept or
 * deleted. On a debug build of CPython the policy is always SCOPED, because its assertions forbid deleting another
 * thread's state; up to 3.13 it is in sub-interpreters, which abort when a state is left at their end. */
#ifndef PYATTACH_WARM_STATE_H
#define PYATTACH_WARM_STATE_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a native thread keeps between attaches. */
typedef enum pyattach_thread_policy {
    PYATTACH_THREADS_WARM = 0,  /* the default */
    PYATTACH_THREADS_SCOPED = 1 /* as PyGILState_Ensure: a state is made and destroyed with each outermost attach */
} pyattach_thread_policy;

/* For the whole process; looked at when a thread that has no state attaches. States that are warm already stay. */
PYATTACH_API void pyattach_set_thread_policy(pyattach_thread_policy);

/* Destroys this thread's warm states now; without any it does nothing. May block (for the GIL) and run Python code
 * (destructors of thread-local data). INVALID: inside a scope, or attached by other code; FORBIDDEN. */
PYATTACH_API pyattach_status pyattach_thread_release(void);

#ifdef __cplusplus
}
#endif
#endif
