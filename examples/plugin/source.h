/* A source file in memory. Uses no Python. */
#ifndef SOURCE_H
#define SOURCE_H

#include <stddef.h>
#include <stdint.h>

typedef struct source {
    char *bytes; /* the caller of source_read frees them */
    size_t size;
    uint64_t lines;
} source;

/* 0, or an errno; then there is nothing to free. */
int source_read(source *, const char *path);

#endif
