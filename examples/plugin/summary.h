/* A summary: the Python object that is kept of one file, its tree and what it defines. */
#ifndef SUMMARY_H
#define SUMMARY_H

#include <pyattach/pyattach.h>

#include "source.h"

/* All of these need an attached thread, and leave a Python exception set where they return PYATTACH_PYTHON_ERROR. */

/* Once, before everything else; and its opposite. */
pyattach_status summary_prepare(void);
void summary_forget(void);

/* A function that makes summaries, for one thread, and that adds an element to the list `released` whenever one of them
 * is destroyed. */
pyattach_status summary_maker(struct _object *released, struct _object **make);

/* A new summary of one file, and its numbers. */
pyattach_status summary_make(struct _object *make, const char *path, const source *text, struct _object **summary,
                             int64_t *functions, int64_t *classes);

/* Releases all references that wait, and returns how many elements `released` has then. */
pyattach_status summary_released(struct _object *released, int64_t *number);

#endif
