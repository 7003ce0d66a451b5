/* pyattach-run: runs a program whose calls of CPython's are routed to libpyattach, unmodified (docs/adopt.md). Sets
 * LD_PRELOAD and becomes the program. */
#include "command.h"

#include <stddef.h>

static const char usage[] =
    "usage: pyattach-run [--verbose[=FILE]] [--only PATTERN]... [--except PATTERN]... [--] PROGRAM [ARGUMENT]...\n"
    "\n"
    "Runs the program, and routes the calls of PyGILState_Ensure and the like, of the program and of each library\n"
    "that it loads, to libpyattach. So do the programs that it starts in turn.\n"
    "\n" OPTIONS_IN_COMMON;

const struct command command = {"pyattach-run", usage, NULL};

int main(int count, char **words) {
    void *handle;
    (void)count;
    words = read_options(words + 1);
    return run_program(words, library(&handle));
}
