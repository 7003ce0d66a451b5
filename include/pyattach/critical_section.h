/* Critical section: CPython's per-object lock of the free-threaded build.
 *
 * On builds with a GIL a section only checks that the thread is attached: the GIL excludes other threads as long as the
 * thread does not detach. On free-threaded builds it locks.
 *
 * Detaching, in a detached scope or inside any Python code that waits, suspends every section of the thread. Attaching
 * again resumes the innermost one. So what a section protects may have changed after such a call. In CPython 3.13 the
 * same holds for code that enters a section on the same object again, as the methods of list and dict do. Use a mutex
 * for what must stay unchanged across calls of Python.
 *
 * While a section is open, attaches of its thread release no references from the pool. */
#ifndef PYATTACH_CRITICAL_SECTION_H
#define PYATTACH_CRITICAL_SECTION_H

#include "mutex.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Storage of a section. The caller allocates it, does not initialize it and never moves it while the section is open:
 * CPython links open sections by address. */
typedef struct pyattach_critical_section {
    void *opaque[8]; /* private to the library */
} pyattach_critical_section;

/* Begins a section on `object`. Sections nest, also on the same object. The section borrows the object: the caller
 * keeps it alive until the section ends.
 *
 * May block, detached, on free-threaded builds. Runs no Python code.
 *
 * PYATTACH_OK: the section is open.
 * PYATTACH_NOT_ATTACHED: the thread is not attached.
 * PYATTACH_FORBIDDEN: the thread is inside a forbidden scope.
 * PYATTACH_UNSUPPORTED: this process is the child of a raw fork() in which Python stays refused (see pyattach_forked).
 * PYATTACH_NO_MEMORY: memory is short.
 * PYATTACH_INVALID: an argument is NULL. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_critical_section_begin(pyattach_critical_section *section,
                                                                                struct _object *object);

/* Begins a section on two objects. The two locks are taken in an order that cannot deadlock; the same object twice
 * counts once. Everything else, the statuses included, is as for pyattach_critical_section_begin. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_critical_section_begin2(pyattach_critical_section *section,
                                                                                 struct _object *first,
                                                                                 struct _object *second);

/* Begins a section on a mutex. Everything else, the statuses included, is as for pyattach_critical_section_begin. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status
pyattach_critical_section_begin_mutex(pyattach_critical_section *section, pyattach_mutex *mutex);

/* Begins a section on two mutexes. The two locks are taken in an order that cannot deadlock; the same mutex twice
 * counts once. Everything else, the statuses included, is as for pyattach_critical_section_begin. */
PYATTACH_API PYATTACH_NODISCARD pyattach_status pyattach_critical_section_begin_mutex2(
    pyattach_critical_section *section, pyattach_mutex *first, pyattach_mutex *second);

/* Ends a section. Sections end innermost first, on the thread that began them, while that thread is attached; anything
 * else aborts. The end of a section whose interpreter has ended does nothing, as that of the scope around it. NULL is
 * ignored. Does not block and runs no Python code.
 *
 * A thread that ends with a section open ends the section if its storage is not on the thread's stack. If it is, the
 * thread stays attached for ever on free-threaded builds, since CPython would read that stack later; the message
 * handler is called. */
PYATTACH_API void pyattach_critical_section_end(pyattach_critical_section *section);

#ifdef __cplusplus
}
#endif
#endif
