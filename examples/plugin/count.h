/* Counting: native threads that attach to Python for one file after the other. */
#ifndef COUNT_H
#define COUNT_H

#include <pyattach/pyattach.h>

#include "plugin.h"

/* As plugin.count; after summary_prepare, on a thread that is not attached. */
int count_definitions(const plugin_host *host, const char *const *paths, size_t files, unsigned threads,
                      plugin_counts *counts);

/* Tells the host that `what` met `status`; if Python has raised an exception, shows it and clears it. Returns -1. */
int complain(const plugin_host *host, const char *what, pyattach_status status);

#endif
