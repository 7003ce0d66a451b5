/* What the commands pyattach-run and pyattach-trace share: their options, the library, and the program that they
 * become.
 *
 * What a command cannot do it says in a sentence, and ends with status 2, before the program has begun. A program that
 * cannot be run gives the status that env(1) gives: 127 if there is none, else 126. */
#ifndef RUN_COMMAND_H
#define RUN_COMMAND_H

enum { wrong_use = 2, cannot_run = 126, not_found = 127 };

#define FORMATTED __attribute__((format(printf, 2, 3)))

/* How the usage ends. */
#define OPTIONS_IN_COMMON                                                                                              \
    "  --only PATTERN     route only what the pattern matches: a file's name, or its path if the pattern has a "       \
    "slash\n"                                                                                                          \
    "  --except PATTERN   do not route what the pattern matches\n"                                                     \
    "  --verbose[=FILE]   say on standard error, or at the end of a file, what is routed\n"                            \
    "  --version          print the version\n"                                                                         \
    "\n"                                                                                                               \
    "In a pattern, * stands for any text, ? for one character, and [...] for one of several.\n"

/* A command. Its main file defines `command`. */
struct command {
    const char *name;
    const char *usage;
    /* Takes the option at which `at` points, if it is one of this command alone. `at` then points to its last word. */
    int (*take_option)(char ***at);
};
extern const struct command command;

/* Says the sentence, and ends the command. */
FORMATTED void stop(int status, const char *format, ...);
void *allocated(void *memory);
char *joined(const char *before, const char *separator, const char *after);
/* A variable that the library reads is what this command says, and nothing that was there before. */
void set_or_unset(const char *name, const char *value);

/* The value of an option that is written in one word or in two, and what kind of value it is; NULL: it is another
 * option. */
const char *value_of(const char *option, const char *kind, char ***at);
/* Reads the options up to the program, and returns the program and its arguments. */
char **read_options(char **words);

/* The path of libpyattach-preload.so, and its handle. */
char *library(void **handle);
/* Becomes the program, with this library. */
int run_program(char **words, const char *library_path);

#endif
