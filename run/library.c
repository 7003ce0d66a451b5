/* The library that the commands load into the program. */
#include "command.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *library(void **handle) {
    const char *named = getenv("PYATTACH_PRELOAD_LIBRARY");
    char here[PATH_MAX], full[PATH_MAX];
    char *path;
    if (named && *named) {
        path = joined("", "", named);
    } else {
        const ssize_t length = readlink("/proc/self/exe", here, sizeof here - 1);
        if (length <= 0)
            stop(wrong_use, "cannot find its own path: %s. Name the library in PYATTACH_PRELOAD_LIBRARY.",
                 strerror(errno));
        here[length] = '\0';
        *strrchr(here, '/') = '\0';
        path = joined(here, "/", RUN_LIBRARY);
    }
    if (!realpath(path, full))
        stop(wrong_use, "the library %s cannot be used: %s. Install it there, or name it in PYATTACH_PRELOAD_LIBRARY.",
             path, strerror(errno));
    if (strpbrk(full, " \t\n:"))
        stop(wrong_use,
             "the path %s has a space or a colon, which LD_PRELOAD takes for its end. Install the library elsewhere.",
             full);
    /* It needs libpyattach.so beside itself. Else the dynamic linker would stop the program, or go on without it. */
    *handle = dlopen(full, RTLD_NOW);
    if (!*handle)
        stop(wrong_use, "the library cannot be loaded: %s", dlerror());
    free(path);
    return joined("", "", full);
}
