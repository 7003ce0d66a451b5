/* A source file in memory: see source.h. */
#include "source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t count_lines(const char *bytes, size_t size) {
    uint64_t lines = 0;
    const char *end = bytes + size;
    const char *here = bytes;
    while (here < end) {
        const char *newline = memchr(here, '\n', (size_t)(end - here));
        lines++;
        if (newline == NULL)
            break; /* a last line without an end is a line too */
        here = newline + 1;
    }
    return lines;
}

int source_read(source *it, const char *path) {
    FILE *file = fopen(path, "rb");
    size_t room = 0;
    int error = 0;
    it->bytes = NULL;
    it->size = 0;
    if (file == NULL)
        return errno;
    /* Read to the end rather than ask for the size: a file may grow meanwhile. */
    while (!feof(file)) {
        if (it->size == room) {
            size_t more = room == 0 ? 65536 : room * 2;
            char *bytes = realloc(it->bytes, more);
            if (bytes == NULL) {
                error = ENOMEM;
                break;
            }
            it->bytes = bytes;
            room = more;
        }
        it->size += fread(it->bytes + it->size, 1, room - it->size, file);
        if (ferror(file)) {
            error = errno;
            break;
        }
    }
    fclose(file);
    if (error != 0) {
        free(it->bytes);
        it->bytes = NULL;
        return error;
    }
    it->lines = count_lines(it->bytes, it->size);
    return 0;
}
