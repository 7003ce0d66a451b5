// The functions of libpyattach-preload.so. They are for the Python package pyattach of the same version, and may change
// with each version. Call them attached: the words are written while no other thread runs Python code.
#pragma once

#include <cstddef>

#define PYATTACH_PRELOAD_API __attribute__((visibility("default")))

extern "C" {

// Routes the objects that the patterns choose (a colon between two; NULL or "": none), and those of them that are
// loaded later. `verbose`: see report.hpp; NULL: as it was. 0: done; 1: not all; 2: nothing, since the file of
// `verbose` cannot be opened.
PYATTACH_PRELOAD_API int pyattach_preload_route(const char *only, const char *except, const char *verbose);
// Undoes it. 0: done; 1: not all.
PYATTACH_PRELOAD_API int pyattach_preload_unroute(void);
// The routed object of this number: how many of its words are replaced, and a bit for each function. 0: there are not
// so many.
PYATTACH_PRELOAD_API int pyattach_preload_describe(unsigned number, char *path, size_t size, unsigned *words,
                                                   unsigned *functions);
// Starts a trace of this process, which is written when the process ends: see process_trace.hpp. 0: done; 1: not done,
// because an argument is wrong; 2: because no trace can be started. Then `said` is the sentence that says why.
PYATTACH_PRELOAD_API int pyattach_preload_trace(const char *path, const char *format, const char *signal, char *said,
                                                size_t size);
// Whether it can be done, without doing it. 0: it can, and `said` is the full path. On any thread.
PYATTACH_PRELOAD_API int pyattach_preload_trace_check(const char *path, const char *format, const char *signal,
                                                      char *said, size_t size);
// The name of the function of this number; NULL: it is none of CPython's, or there are not so many.
PYATTACH_PRELOAD_API const char *pyattach_preload_function(unsigned number);

} // extern "C"
