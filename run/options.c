/* The options of the commands, and what else they have in common. */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void stop(int status, const char *format, ...) {
    va_list words;
    va_start(words, format);
    fprintf(stderr, "%s: ", command.name);
    vfprintf(stderr, format, words);
    fputc('\n', stderr);
    va_end(words);
    exit(status);
}

void *allocated(void *memory) {
    if (!memory)
        stop(wrong_use, "there is no memory");
    return memory;
}

char *joined(const char *before, const char *separator, const char *after) {
    const size_t size = strlen(before) + strlen(separator) + strlen(after) + 1;
    char *text = allocated(malloc(size));
    snprintf(text, size, "%s%s%s", before, separator, after);
    return text;
}

void set_or_unset(const char *name, const char *value) {
    if ((value ? setenv(name, value, 1) : unsetenv(name)) != 0)
        stop(wrong_use, "the environment cannot be changed: %s", strerror(errno));
}

static char *add_pattern(char *patterns, const char *option, const char *pattern) {
    if (!*pattern)
        stop(wrong_use, "%s: the pattern is empty. It is a file's name or path, in which * stands for any text.",
             option);
    if (strchr(pattern, ':'))
        stop(wrong_use, "%s: the pattern %s has a colon, which separates patterns. Put a ? in its place.", option,
             pattern);
    return patterns ? joined(patterns, ":", pattern) : joined("", "", pattern);
}

/* The file is named by its full path, because programs that are started later may be elsewhere. */
static const char *verbose_file(const char *path) {
    const int file = *path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    char full[PATH_MAX];
    if (!*path)
        stop(wrong_use, "--verbose=: the name of the file is missing");
    if (file < 0 || !realpath(path, full))
        stop(wrong_use, "--verbose=%s: the file cannot be opened: %s", path, strerror(errno));
    close(file);
    return joined("", "", full);
}

const char *value_of(const char *option, const char *kind, char ***at) {
    const size_t length = strlen(option);
    if (strncmp(**at, option, length) != 0)
        return NULL;
    if ((**at)[length] == '=')
        return **at + length + 1;
    if ((**at)[length] != '\0')
        return NULL;
    if (!(*at)[1])
        stop(wrong_use, "%s needs a %s. See %s --help.", option, kind, command.name);
    return *++*at;
}

char **read_options(char **words) {
    char *only = NULL, *except = NULL;
    const char *verbose = NULL, *value;
    for (; *words && (*words)[0] == '-'; ++words) {
        if (strcmp(*words, "--") == 0) {
            ++words;
            break;
        }
        if (strcmp(*words, "--help") == 0 || strcmp(*words, "-h") == 0) {
            fputs(command.usage, stdout);
            exit(0);
        }
        if (strcmp(*words, "--version") == 0) {
            printf("%s " RUN_VERSION "\n", command.name);
            exit(0);
        }
        if (strcmp(*words, "--verbose") == 0 || strcmp(*words, "-v") == 0)
            verbose = "1";
        else if (strncmp(*words, "--verbose=", 10) == 0)
            verbose = verbose_file(*words + 10);
        else if ((value = value_of("--only", "pattern", &words)))
            only = add_pattern(only, "--only", value);
        else if ((value = value_of("--except", "pattern", &words)))
            except = add_pattern(except, "--except", value);
        else if (!command.take_option || !command.take_option(&words))
            stop(wrong_use, "there is no option %s. See %s --help.", *words, command.name);
    }
    if (!*words)
        stop(wrong_use, "the program is missing. See %s --help.", command.name);
    set_or_unset("PYATTACH_RUN_ONLY", only);
    set_or_unset("PYATTACH_RUN_EXCEPT", except);
    set_or_unset("PYATTACH_RUN_VERBOSE", verbose);
    return words;
}
