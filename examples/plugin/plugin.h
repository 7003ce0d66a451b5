/* What the host and its plugin agree on: plain C, with nothing of Python and nothing of libpyattach in it. */
#ifndef PLUGIN_H
#define PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PLUGIN_VERSION 2

/* What the plugin tells its host: from any thread, from several at once. Texts are valid during the call only. */
typedef struct plugin_host {
    void *context;
    void (*message)(void *context, const char *sentence);                  /* something went wrong */
    void (*rejected)(void *context, const char *path, const char *reason); /* a file could not be read or parsed */
    void (*file_done)(void *context);                                      /* also after `rejected` */
} plugin_host;

typedef struct plugin_counts {
    uint64_t files, functions, classes, lines; /* of the files that could be parsed */
    uint64_t rejected;                         /* the other files */
    uint64_t dropped;                          /* objects whose reference was given back on a detached thread */
    uint64_t released;                         /* those of them that Python has destroyed since */
} plugin_counts;

/* Functions that return an int: 0 for success, else the host has been told why. One thread calls start, once, then the
 * others, then stop. */
typedef struct plugin {
    unsigned version;
    /* `libpython` is the shared library; `program_name` may be NULL. `host` outlives the plugin's use. */
    int (*start)(const plugin_host *host, const char *libpython, const char *program_name);
    /* Both write a NUL-terminated text into `buffer`: "3.13.5 free-threaded, FILE", and a directory. */
    int (*describe)(char *buffer, size_t size);
    int (*standard_library)(char *buffer, size_t size);
    /* Counts what the files define, on `threads` native threads. */
    int (*count)(const char *const *paths, size_t files, unsigned threads, plugin_counts *counts);
    /* Records from now on what the threads do, and writes it: a page for a browser if the file's name ends in .html,
     * JSON if it ends in .json, else Perfetto's protobuf. */
    int (*start_trace)(void);
    int (*write_trace)(const char *path);
    /* Ends Python. Fails if something was still waiting to be released, or Python did not end in good order. */
    int (*stop)(void);
} plugin;

/* The one function a plugin exports. */
const plugin *plugin_get(void);
typedef const plugin *(*plugin_get_function)(void);

#ifdef __cplusplus
}
#endif
#endif
