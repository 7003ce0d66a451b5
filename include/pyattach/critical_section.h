/* Critical section: CPython's per-object lock of the free-threaded build.
 *
 * On builds with a GIL a section does nothing but ask whether the thread is attached: the GIL excludes other threads as
 * long as nobody detaches. On free-threaded builds it locks. Detaching, in a detached scope or inside any Python code
 * that waits, suspends every section of the thread; attaching again resumes the innermost, so what a section protects
 * may have changed after such a call. In CPython 3.13 the same goes for code that enters a section on the same object
 * again, as the methods of list and dict do. What has to hold across calls of Python is protected by a mutex. While a
 * section is open, attaches of its thread do not release references from the pool. */
#ifndef PYATTACH_CRITICAL_SECTION_H
#define PYATTACH_CRITICAL_SECTION_H

#include "mutex.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Storage of a section; the caller's, not initialised, never moved: CPython links open sections by address. */
typedef struct pyattach_critical_section {
    void *opaque[8]; /* the library's */
} pyattach_critical_section;

/* Enter a section on one or two objects, or on one or two mutexes. Two locks are taken in an order that cannot
 * deadlock; the same one twice counts once. Sections nest, also on the same object. May block, detached. NOT_ATTACHED,
 * FORBIDDEN, NO_MEMORY; INVALID: NULL. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_critical_section_begin(pyattach_critical_section *,
                                                                                struct _object *);
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_critical_section_begin2(pyattach_critical_section *,
                                                                                 struct _object *, struct _object *);
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_critical_section_begin_mutex(pyattach_critical_section *,
                                                                                      pyattach_mutex *);
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_critical_section_begin_mutex2(pyattach_critical_section *,
                                                                                       pyattach_mutex *,
                                                                                       pyattach_mutex *);

/* Sections end innermost first, on the thread that began them and attached; anything else aborts. A section whose
 * interpreter has ended is inert, as the scope around it: ending it does nothing. A thread that ends with a section open
 * ends it if its storage is not on the thread's stack. Otherwise, on free-threaded builds, the thread stays attached
 * for ever, since CPython would look into that stack; the message handler is told. */
PYATTACH_API void pyattach_critical_section_end(pyattach_critical_section *);

#ifdef __cplusplus
}
#endif
#endif
