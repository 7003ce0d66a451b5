/* pyattach-trace: pyattach-run, with a trace of the program, which is written when its process ends (docs/observe.md).
 * The library has what a file's name and a format mean, so this command asks it before it becomes the program. */
#include "command.h"

#include <dlfcn.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: pyattach-trace -o FILE [--format FORMAT] [--signal SIGNAL] [--verbose[=FILE]] [--only PATTERN]...\n"
    "                      [--except PATTERN]... [--] PROGRAM [ARGUMENT]...\n"
    "\n"
    "Runs the program as pyattach-run does, and writes a trace when its process ends: who was attached to Python, who\n"
    "waited for whom, and since when. A process that ends by a signal or by _exit writes none.\n"
    "\n"
    "  -o, --output FILE  where the trace is written. If %p is in the name, the programs that the program starts\n"
    "                     write traces, too, and %p stands for the number of the process\n"
    "  --format FORMAT    chrome, perfetto or html. Without it the end of the file's name says which: .json, .pftrace\n"
    "                     or .perfetto, or .html, which is a page for a browser\n"
    "  --signal SIGNAL    the trace is also written when this signal comes: a name, such as USR1, or a "
    "number\n" OPTIONS_IN_COMMON;

static const char *output, *format, *signal_name;

static int take_option(char ***at) {
    const char *value;
    if ((value = value_of("-o", "file", at)) || (value = value_of("--output", "file", at)))
        output = value;
    else if ((value = value_of("--format", "format", at)))
        format = value;
    else if ((value = value_of("--signal", "signal", at)))
        signal_name = value;
    return value != NULL;
}

const struct command command = {"pyattach-trace", usage, take_option};

/* The variables that the library reads. */
static void ask_for_trace(const char *library_path, void *handle) {
    int (*check)(const char *, const char *, const char *, char *, size_t);
    char said[2 * PATH_MAX], process[32];
    /* ISO C converts no pointer to an object into one to a function; POSIX has this. */
    *(void **)&check = dlsym(handle, "pyattach_preload_trace_check");
    if (!check)
        stop(wrong_use, "the library %s is of another version than this command. Install both from one version.",
             library_path);
    if (check(output, format, signal_name, said, sizeof said) != 0)
        stop(wrong_use, "%s", said);
    set_or_unset("PYATTACH_RUN_TRACE", said);
    set_or_unset("PYATTACH_RUN_TRACE_FORMAT", format);
    set_or_unset("PYATTACH_RUN_TRACE_SIGNAL", signal_name);
    /* The program has the number that this process has. */
    snprintf(process, sizeof process, "%ld", (long)getpid());
    set_or_unset("PYATTACH_RUN_TRACE_PROCESS", strstr(said, "%p") ? NULL : process);
}

int main(int count, char **words) {
    const char *path;
    void *handle;
    (void)count;
    words = read_options(words + 1);
    if (!output)
        stop(wrong_use, "the file of the trace is missing: -o FILE. See pyattach-trace --help.");
    path = library(&handle);
    ask_for_trace(path, handle);
    return run_program(words, path);
}
