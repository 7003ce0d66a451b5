/* Calls: as much of Python as a host needs that has no Python.h.
 *
 * Rules for every function here, where its comment says nothing else. The calling thread is attached. The function may
 * block and may run Python code. Arguments are borrowed: the caller keeps its references. A result is a new reference,
 * which the caller owns; on failure *result is NULL, and other places for results are unchanged. If an exception is set
 * when a function that runs Python code is called, that is misuse as in CPython itself: clear the exception or take it
 * out first.
 *
 * PYATTACH_OK: the call succeeded.
 * PYATTACH_PYTHON_ERROR: Python raised an exception, which is set.
 * PYATTACH_NOT_ATTACHED: the thread is not attached.
 * PYATTACH_FORBIDDEN: the thread is inside a forbidden scope.
 * PYATTACH_UNSUPPORTED: this process is the child of a raw fork() in which Python stays refused (see pyattach_forked).
 * PYATTACH_INVALID: an object, a text or a place for a result is NULL where one is required. */
#ifndef PYATTACH_CALL_H
#define PYATTACH_CALL_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Evaluates an expression, as Python's eval() does. `code` is UTF-8. `globals` must be a dict; NULL: that of
 * `__main__`;
 * `__builtins__` is added to it if it has none. `locals` may be any mapping; NULL: `globals`. */
PYATTACH_API pyattach_status pyattach_eval(const char *code, struct _object *globals, struct _object *locals,
                                           struct _object **result);

/* Executes statements, as Python's exec() does. The parameters are those of pyattach_eval. */
PYATTACH_API pyattach_status pyattach_run(const char *code, struct _object *globals, struct _object *locals);

/* Imports a module by its dotted name. The result is that module, not its parent. */
PYATTACH_API pyattach_status pyattach_import(const char *name, struct _object **result);

/* Runs the handlers of signals that arrived, if this is the main thread of the main interpreter; else does nothing. */
PYATTACH_API pyattach_status pyattach_check_signals(void);

/* Returns 1 if pyattach_check_signals may run handlers here and now: the thread is attached to the main interpreter, it
 * is Python's main thread, it is not inside a forbidden scope, and no exception is pending. Else returns 0. Code that
 * waits for long calls it before it detaches, to know whether it has to attach from time to time for
 * pyattach_check_signals; other threads need not. Any thread may call it. Does not block and runs no Python code. */
PYATTACH_API int pyattach_can_handle_signals(void);

/* Gets the attribute `name` of `object`. */
PYATTACH_API pyattach_status pyattach_get_attribute(struct _object *object, const char *name, struct _object **result);

/* Sets the attribute `name` of `object`. `value` is not stolen; NULL deletes the attribute. */
PYATTACH_API pyattach_status pyattach_set_attribute(struct _object *object, const char *name, struct _object *value);

/* Calls `callable` with `nargs` positional arguments, none of which is stolen. `args` may be NULL if `nargs` is 0.
 *
 * PYATTACH_INVALID: also if one of the arguments is NULL, or `nargs` is out of range. */
PYATTACH_API pyattach_status pyattach_call(struct _object *callable, struct _object *const *args, size_t nargs,
                                           struct _object **result);

/* --- Conversions -----------------------------------------------------------------------------------------------------
 * To C: an object of another type is a TypeError, and a number out of range an OverflowError. From C: sizes are in
 * bytes. */

/* Converts an integer, or any object with `__index__`. */
PYATTACH_API pyattach_status pyattach_to_int64(struct _object *object, int64_t *value);

/* Converts a float, or any object with `__float__` or `__index__`. */
PYATTACH_API pyattach_status pyattach_to_double(struct _object *object, double *value);

/* Sets *value to 1 if Python considers the object true, else to 0. */
PYATTACH_API pyattach_status pyattach_to_bool(struct _object *object, int *value);

/* Gets the text of a str, as UTF-8 with a final NUL. The object owns the text, which is valid as long as the object. A
 * str with lone surrogates is a UnicodeEncodeError. `size` receives the number of bytes without the final NUL, and may
 * be NULL. On failure *text is NULL. */
PYATTACH_API pyattach_status pyattach_to_utf8(struct _object *object, const char **text, size_t *size);

/* Gets the data of a bytes object. The object owns the data, which is valid as long as the object and has a NUL behind
 * it. `size` receives the number of bytes without that NUL, and may be NULL. On failure *data is NULL. */
PYATTACH_API pyattach_status pyattach_to_bytes(struct _object *object, const char **data, size_t *size);

/* Makes an int. */
PYATTACH_API pyattach_status pyattach_from_int64(int64_t value, struct _object **result);

/* Makes a float. */
PYATTACH_API pyattach_status pyattach_from_double(double value, struct _object **result);

/* Gets True if `value` is not 0, else False. */
PYATTACH_API pyattach_status pyattach_from_bool(int value, struct _object **result);

/* Makes a str of `size` bytes of UTF-8. Text that is not UTF-8 is a UnicodeDecodeError. `text` may be NULL if `size` is
 * 0.
 *
 * PYATTACH_INVALID: also if `size` is out of range. */
PYATTACH_API pyattach_status pyattach_from_utf8(const char *text, size_t size, struct _object **result);

/* Makes a bytes object of `size` bytes. `data` may be NULL if `size` is 0.
 *
 * PYATTACH_INVALID: also if `size` is out of range. */
PYATTACH_API pyattach_status pyattach_from_bytes(const char *data, size_t size, struct _object **result);

/* What an object made by pyattach_from_finalizer calls at its end. It must not throw, and leaves the pending exception,
 * if there is one, as it is. */
typedef void (*pyattach_finalizer)(void *arg);

/* Makes an object that calls `function(arg)` once, when its last reference is released: on an attached thread, which
 * may be any. So native memory that must be freed attached may be given back on any thread, with pyattach_decref_in. If
 * the interpreter has ended by then, the reference is leaked and counted, and `function` is never called. Its code
 * stays loaded until then. The caller owns `arg`, which is passed on. Runs no Python code itself.
 *
 * PYATTACH_NO_MEMORY: memory is short.
 * PYATTACH_INVALID: `function` or `result` is NULL. */
PYATTACH_API pyattach_status pyattach_from_finalizer(pyattach_finalizer function, void *arg, struct _object **result);

/* Does what Python's str() does. */
PYATTACH_API pyattach_status pyattach_str(struct _object *object, struct _object **result);

/* Does what Python's repr() does. */
PYATTACH_API pyattach_status pyattach_repr(struct _object *object, struct _object **result);

/* --- Types -------------------------------------------------------------------------------------------------------- */

/* Gets the type of an object. Does not block and runs no Python code. */
PYATTACH_API pyattach_status pyattach_type_of(struct _object *object, struct _object **type);

/* Does what Python's isinstance() does: *answer is 1 or 0. `type` may be a tuple of types; anything else that is no
 * type is a TypeError. */
PYATTACH_API pyattach_status pyattach_is_instance(struct _object *object, struct _object *type, int *answer);

/* Does what Python's issubclass() does: *answer is 1 or 0. `base` may be a tuple of types; anything else that is no
 * type is a TypeError. */
PYATTACH_API pyattach_status pyattach_is_subclass(struct _object *derived, struct _object *base, int *answer);

/* --- The pending exception ---------------------------------------------------------------------------------------- */

/* Writes "Type: message" of the pending exception, which stays set, as snprintf does: at most `size` bytes with the
 * final NUL, cut between two characters. Returns the length of the whole text in bytes without the NUL. Returns 0, and
 * writes an empty text, if no exception is pending, or the thread is not attached or inside a forbidden scope. `buffer`
 * may be NULL if `size` is 0. For an exception
 * whose text is empty, or cannot be converted to a str, it is "Type" alone. */
PYATTACH_API size_t pyattach_error_message(char *buffer, size_t size);

/* Clears the pending exception, if there is one. Does nothing on a thread that is not attached or is inside a forbidden
 * scope. Runs Python code only through destructors. */
PYATTACH_API void pyattach_error_clear(void);

/* Takes the pending exception out, so that none is pending any more. *exception receives the exception object, with its
 * traceback in `__traceback__`, as a new reference; NULL if none was pending. */
PYATTACH_API pyattach_status pyattach_error_take(struct _object **exception);

/* Makes `exception`, which is not stolen, the pending exception, in place of one that is pending already.
 *
 * PYATTACH_INVALID: also if `exception` is no exception object; then nothing has changed. */
PYATTACH_API pyattach_status pyattach_error_restore(struct _object *exception);

/* Decides as an except clause does whether `exception` matches `type`, an exception class or a tuple of them: *answer
 * is 1 or 0. Does not block and runs no Python code. */
PYATTACH_API pyattach_status pyattach_error_matches(struct _object *exception, struct _object *type, int *answer);

/* Reports the pending exception through sys.unraisablehook, and clears it: for code that has no caller to which it
 * could pass the exception. `about` is the object that the report names; NULL: none. Does nothing if no exception is
 * pending, or the thread is not attached or inside a forbidden scope. May block, and runs Python code: the hook. */
PYATTACH_API void pyattach_error_report(struct _object *about);

#ifdef __cplusplus
}
#endif
#endif
