/* Hold: the end of an interpreter waits, and lets threads in meanwhile.
 *
 * A hold is for work that must be complete before Python ends: a flush, a result that is on its way, a callback that
 * was promised. It does not belong to a thread. While there is one, the interpreter is *held*: once its end has begun,
 * the exit callbacks run, attaching still succeeds, and the end waits until the last hold has ended, up to the exit
 * time-out (see interpreter.h). Then the gate closes. */
#ifndef PYATTACH_HOLD_H
#define PYATTACH_HOLD_H

#include "interpreter.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Storage of a hold. The caller allocates it, does not initialize it, and neither moves nor frees it before the hold
 * has ended. */
typedef struct pyattach_hold {
    void *opaque[8]; /* private to the library */
} pyattach_hold;

/* Begins a hold of `interpreter`; NULL: of the main interpreter. Works on every thread, attached or not, and inside
 * every scope. `label` says in the message at the exit time-out what is not complete; it is copied, and cut off after
 * 31 bytes. NULL: the hold has no label.
 *
 * If `interpreter` is NULL and the main interpreter is not registered yet, attaches for the time of the call, and so
 * may block and may run Python code. Otherwise does neither.
 *
 * Aborts if a hold is open in this storage, as far as that is noticed (among the last 256 begun).
 *
 * PYATTACH_OK: the hold has begun, and pyattach_hold_end has to be called once.
 * PYATTACH_FINALIZING: the end of the interpreter has begun, even if other holds delay it; or it has ended.
 * PYATTACH_NOT_INITIALIZED: `interpreter` is NULL, and no Python runs.
 * PYATTACH_UNSUPPORTED: as pyattach_attached_begin.
 * PYATTACH_NO_PYTHON, PYATTACH_FORBIDDEN, PYATTACH_NO_MEMORY: as pyattach_attached_begin, where this call attaches.
 * PYATTACH_INVALID: `hold` is NULL. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_hold_begin(pyattach_hold *hold,
                                                                    pyattach_interpreter *interpreter,
                                                                    const char *label);

/* Ends a hold, on any thread, attached or not. If it was the last one, an end that waits for it goes on. After the
 * time-out, and in a child made by fork() after the begin, where no hold of the parent counts, only the storage is
 * given back. NULL is ignored. Does not wait for Python and runs no Python code. Aborts if no hold is open in this
 * storage, as far as that is noticed. */
PYATTACH_API void pyattach_hold_end(pyattach_hold *hold);

/* Returns 1 once the end of `interpreter` has begun or is over, else 0; NULL: of the main interpreter, which is over
 * until Python is started again. It has begun when no hold can be begun any more: a thread that repeats its work asks
 * here whether to stop. Returns 0 where no Python has run. Never blocks and runs no Python code. */
PYATTACH_API int pyattach_interpreter_is_ending(pyattach_interpreter *interpreter);

#ifdef __cplusplus
}
#endif
#endif
