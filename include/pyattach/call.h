/* Calls: as much of Python as a host needs that has no Python.h.
 *
 * Every function here needs an attached thread and may block and run Python code, except where its comment says
 * "plain". NOT_ATTACHED, FORBIDDEN; INVALID: NULL where an object, a text or a place for the result is required;
 * PYTHON_ERROR: the exception is set. Results are new references; on failure *result is NULL. Called with an exception
 * already set, a function that runs Python code is misused as in CPython itself; clear or keep it first. */
#ifndef PYATTACH_CALL_H
#define PYATTACH_CALL_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Evaluates an expression (eval) or executes statements (run), UTF-8. `globals` must be a dict; NULL: that of
 * `__main__`; `__builtins__` is put in if it lacks them. `locals` may be any mapping; NULL: `globals`. */
PYATTACH_API pyattach_status pyattach_eval(const char *code, struct _object *globals, struct _object *locals,
                                           struct _object **result);
PYATTACH_API pyattach_status pyattach_run(const char *code, struct _object *globals, struct _object *locals);

/* Imports a module by its dotted name and returns that very module, not its parent. */
PYATTACH_API pyattach_status pyattach_import(const char *name, struct _object **result);

/* Runs the handlers of signals that arrived, if this is the main thread of the main interpreter; else does nothing. */
PYATTACH_API pyattach_status pyattach_check_signals(void);

/* The attribute of that name. */
PYATTACH_API pyattach_status pyattach_get_attribute(struct _object *, const char *name, struct _object **result);
/* `value` is not stolen; NULL deletes the attribute. */
PYATTACH_API pyattach_status pyattach_set_attribute(struct _object *, const char *name, struct _object *value);
/* Calls with positional arguments, none of them stolen. `args` may be NULL if nargs is 0. */
PYATTACH_API pyattach_status pyattach_call(struct _object *callable, struct _object *const *args, size_t nargs,
                                           struct _object **result);

/* Conversions. To C: an object of another type, or a number out of range, is a PYTHON_ERROR (TypeError, OverflowError);
 * integers accept anything with __index__, doubles anything with __float__, bool asks for the truth of any object. */
PYATTACH_API pyattach_status pyattach_to_int64(struct _object *, int64_t *value);
PYATTACH_API pyattach_status pyattach_to_double(struct _object *, double *value);
PYATTACH_API pyattach_status pyattach_to_bool(struct _object *, int *value);
/* The text of a str, as UTF-8 and NUL-terminated, or the data of a bytes object: owned by the object, valid as long as
 * it. A str with lone surrogates is a UnicodeEncodeError. `size`, in bytes without the final NUL, may be NULL. */
PYATTACH_API pyattach_status pyattach_to_utf8(struct _object *, const char **text, size_t *size);
PYATTACH_API pyattach_status pyattach_to_bytes(struct _object *, const char **data, size_t *size);
/* From C. Text that is not UTF-8 is a UnicodeDecodeError. `size` is in bytes; the pointer may be NULL if it is 0. */
PYATTACH_API pyattach_status pyattach_from_int64(int64_t value, struct _object **result);
PYATTACH_API pyattach_status pyattach_from_double(double value, struct _object **result);
PYATTACH_API pyattach_status pyattach_from_bool(int value, struct _object **result);
PYATTACH_API pyattach_status pyattach_from_utf8(const char *text, size_t size, struct _object **result);
PYATTACH_API pyattach_status pyattach_from_bytes(const char *data, size_t size, struct _object **result);

/* As str() and repr(). */
PYATTACH_API pyattach_status pyattach_str(struct _object *, struct _object **result);
PYATTACH_API pyattach_status pyattach_repr(struct _object *, struct _object **result);

/* Writes "Type: message" of the pending exception, which stays set, as snprintf does: at most `size` bytes with the
 * final NUL, cut at a character's edge; returns the whole length without it. 0 if no exception is pending or the thread
 * is not attached. `buffer` may be NULL if `size` is 0. An exception that cannot be shown gives "Type" alone. */
PYATTACH_API size_t pyattach_error_message(char *buffer, size_t size);
/* Clears the pending exception, if any. May run Python code (destructors). Does nothing on a thread that is not
 * attached, or forbidden. */
PYATTACH_API void pyattach_error_clear(void);

/* The type of an object. Plain. */
PYATTACH_API pyattach_status pyattach_type_of(struct _object *, struct _object **type);
/* As isinstance() and issubclass(), so `type` may be a tuple of types; anything else is a TypeError. */
PYATTACH_API pyattach_status pyattach_is_instance(struct _object *, struct _object *type, int *answer);
PYATTACH_API pyattach_status pyattach_is_subclass(struct _object *derived, struct _object *base, int *answer);

/* Takes the pending exception out: an exception object with its traceback in `__traceback__`, a new reference, and
 * nothing is pending any more. NULL if nothing was. */
PYATTACH_API pyattach_status pyattach_error_take(struct _object **exception);
/* Makes `exception`, which is not stolen, the pending one, in place of one that is pending already. INVALID, and
 * nothing changed: not an exception object. */
PYATTACH_API pyattach_status pyattach_error_restore(struct _object *exception);
/* As an except clause decides: `type` is an exception class or a tuple of them. Plain. */
PYATTACH_API pyattach_status pyattach_error_matches(struct _object *exception, struct _object *type, int *answer);

#ifdef __cplusplus
}
#endif
#endif
