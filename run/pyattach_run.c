/* pyattach-run: runs a program whose calls of CPython's are routed to libpyattach, unmodified (docs/adopt.md). Sets
 * LD_PRELOAD and becomes the program.
 *
 * What it cannot do it says in a sentence, and ends with status 2, before the program has begun. A program that cannot
 * be run gives the status that env(1) gives: 127 if there is none, else 126. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "usage: pyattach-run [--verbose[=FILE]] [--only PATTERN]... [--except PATTERN]... [--] PROGRAM [ARGUMENT]...\n"
    "\n"
    "Runs the program, and routes the calls of PyGILState_Ensure and the like, of the program and of each library\n"
    "that it loads, to libpyattach. So do the programs that it starts in turn.\n"
    "\n"
    "  --only PATTERN     route only what the pattern matches: a file's name, or its path if the pattern has a slash\n"
    "  --except PATTERN   do not route what the pattern matches\n"
    "  --verbose[=FILE]   say on standard error, or at the end of a file, what is routed\n"
    "  --version          print the version\n"
    "\n"
    "In a pattern, * stands for any text, ? for one character, and [...] for one of several.\n";

enum { wrong_use = 2, cannot_run = 126, not_found = 127 };

#define FORMATTED __attribute__((format(printf, 2, 3)))
FORMATTED static void stop(int status, const char *format, ...) {
    va_list words;
    va_start(words, format);
    fputs("pyattach-run: ", stderr);
    vfprintf(stderr, format, words);
    fputc('\n', stderr);
    va_end(words);
    exit(status);
}

static void *allocated(void *memory) {
    if (!memory)
        stop(wrong_use, "there is no memory");
    return memory;
}

/* --- Options */

static char *joined(const char *before, const char *separator, const char *after) {
    const size_t size = strlen(before) + strlen(separator) + strlen(after) + 1;
    char *text = allocated(malloc(size));
    snprintf(text, size, "%s%s%s", before, separator, after);
    return text;
}

/* A variable that the library reads is what this command says, and nothing that was there before. */
static void set_or_unset(const char *name, const char *value) {
    if ((value ? setenv(name, value, 1) : unsetenv(name)) != 0)
        stop(wrong_use, "the environment cannot be changed: %s", strerror(errno));
}

static char *add_pattern(char *patterns, const char *option, const char *pattern) {
    if (!*pattern)
        stop(wrong_use, "%s: the pattern is empty. It is a file's name or path, in which * stands for any text.", option);
    if (strchr(pattern, ':'))
        stop(wrong_use, "%s: the pattern %s has a colon, which separates patterns. Put a ? in its place.", option, pattern);
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

/* The value of an option that is written in one word or in two. NULL: it is another option. */
static const char *value_of(const char *option, char ***at) {
    const size_t length = strlen(option);
    if (strncmp(**at, option, length) != 0)
        return NULL;
    if ((**at)[length] == '=')
        return **at + length + 1;
    if ((**at)[length] != '\0')
        return NULL;
    if (!(*at)[1])
        stop(wrong_use, "%s needs a pattern. See pyattach-run --help.", option);
    return *++*at;
}

/* Returns the program and its arguments. */
static char **read_options(char **words) {
    char *only = NULL, *except = NULL;
    const char *verbose = NULL, *value;
    for (; *words && (*words)[0] == '-'; ++words) {
        if (strcmp(*words, "--") == 0) {
            ++words;
            break;
        }
        if (strcmp(*words, "--help") == 0 || strcmp(*words, "-h") == 0) {
            fputs(usage, stdout);
            exit(0);
        }
        if (strcmp(*words, "--version") == 0) {
            puts("pyattach-run " RUN_VERSION);
            exit(0);
        }
        if (strcmp(*words, "--verbose") == 0 || strcmp(*words, "-v") == 0)
            verbose = "1";
        else if (strncmp(*words, "--verbose=", 10) == 0)
            verbose = verbose_file(*words + 10);
        else if ((value = value_of("--only", &words)))
            only = add_pattern(only, "--only", value);
        else if ((value = value_of("--except", &words)))
            except = add_pattern(except, "--except", value);
        else
            stop(wrong_use, "there is no option %s. See pyattach-run --help.", *words);
    }
    if (!*words)
        stop(wrong_use, "the program is missing. See pyattach-run --help.");
    set_or_unset("PYATTACH_RUN_ONLY", only);
    set_or_unset("PYATTACH_RUN_EXCEPT", except);
    set_or_unset("PYATTACH_RUN_VERBOSE", verbose);
    return words;
}

/* --- The library */

static char *library(void) {
    const char *named = getenv("PYATTACH_PRELOAD_LIBRARY");
    char here[PATH_MAX], full[PATH_MAX];
    char *path;
    if (named && *named) {
        path = joined("", "", named);
    } else {
        const ssize_t length = readlink("/proc/self/exe", here, sizeof here - 1);
        if (length <= 0)
            stop(wrong_use, "cannot find its own path: %s. Name the library in PYATTACH_PRELOAD_LIBRARY.", strerror(errno));
        here[length] = '\0';
        *strrchr(here, '/') = '\0';
        path = joined(here, "/", RUN_LIBRARY);
    }
    if (!realpath(path, full))
        stop(wrong_use, "the library %s cannot be used: %s. Install it there, or name it in PYATTACH_PRELOAD_LIBRARY.", path,
             strerror(errno));
    if (strpbrk(full, " \t\n:"))
        stop(wrong_use, "the path %s has a space or a colon, which LD_PRELOAD takes for its end. Install the library elsewhere.",
             full);
    free(path);
    return joined("", "", full);
}

/* Behind what is there already, once. */
static void preload(const char *path) {
    const char *before = getenv("LD_PRELOAD");
    const size_t length = strlen(path);
    const char *found = before ? strstr(before, path) : NULL;
    if (found && (found == before || strchr(" :", found[-1])) && strchr(" :", found[length]))
        return;
    set_or_unset("LD_PRELOAD", before && *before ? joined(before, ":", path) : path);
}

/* --- The program: why LD_PRELOAD would be without effect */

static char *program_path(const char *name) {
    const char *begin = getenv("PATH");
    int status = not_found;
    if (strchr(name, '/')) {
        if (access(name, X_OK) != 0)
            stop(errno == ENOENT ? not_found : cannot_run, "%s: %s", name, strerror(errno));
        return joined("", "", name);
    }
    for (begin = begin ? begin : "/usr/local/bin:/usr/bin:/bin";; ++begin) {
        const size_t length = strcspn(begin, ":");
        char *folder = allocated(malloc(length + 1)), *path;
        struct stat about;
        memcpy(folder, begin, length);
        folder[length] = '\0';
        path = length ? joined(folder, "/", name) : joined("", "", name);
        free(folder);
        if (stat(path, &about) == 0 && S_ISREG(about.st_mode)) {
            if (access(path, X_OK) == 0)
                return path;
            status = cannot_run;
        }
        free(path);
        if (!*(begin += length))
            break;
    }
    stop(status, "%s: %s", name, strerror(status == not_found ? ENOENT : EACCES));
    return NULL;
}

static void check_privileges(const char *path, int file) {
    struct stat about;
    if (fstat(file, &about) != 0)
        return;
    if (((about.st_mode & S_ISUID) && about.st_uid != geteuid()) || ((about.st_mode & S_ISGID) && about.st_gid != getegid()))
        stop(wrong_use, "%s runs as another user or group (setuid), and the dynamic linker ignores LD_PRELOAD for such a program. "
             "Run it as that user, or link its modules to libpyattach (docs/adopt.md).", path);
}

static void check_elf(const char *path, int file, const Elf64_Ehdr *head) {
    int is_dynamic = 0;
    if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_machine != RUN_MACHINE)
        stop(wrong_use, "%s is for another kind of machine than libpyattach, and cannot load it. "
             "Build libpyattach for that machine.", path);
    for (unsigned i = 0; i < head->e_phnum; ++i) {
        Elf64_Phdr part;
        const off_t at = (off_t)(head->e_phoff + (Elf64_Off)i * head->e_phentsize);
        if (pread(file, &part, sizeof part, at) != (ssize_t)sizeof part)
            return; /* execve says what is wrong with it */
        is_dynamic |= part.p_type == PT_INTERP;
    }
    if (!is_dynamic)
        stop(wrong_use, "%s is linked statically (-static), so no library can be loaded with it. "
             "Link libc dynamically.", path);
}

/* A script is run by the program that its first line names. */
static void check(const char *path, int may_be_script) {
    union {
        Elf64_Ehdr elf;
        char line[PATH_MAX];
    } head;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size;
    if (file < 0)
        return; /* it may be run without being read */
    memset(&head, 0, sizeof head);
    size = pread(file, &head, sizeof head - 1, 0);
    check_privileges(path, file);
    if (size >= (ssize_t)sizeof head.elf && memcmp(&head, ELFMAG, SELFMAG) == 0) {
        check_elf(path, file, &head.elf);
    } else if (may_be_script && strncmp(head.line, "#!", 2) == 0) {
        char *name = head.line + 2 + strspn(head.line + 2, " \t");
        name[strcspn(name, " \t\r\n")] = '\0';
        check(name, 0);
    }
    close(file);
}

int main(int count, char **words) {
    char *path, *preloaded;
    (void)count;
    words = read_options(words + 1);
    preloaded = library();
    path = program_path(*words);
    check(path, 1);
    preload(preloaded);
    /* Not execvp: what was checked is what is run. A file without a first line for the kernel is run by a shell. */
    execv(path, words);
    if (errno == ENOEXEC)
        execvp(*words, words);
    stop(errno == ENOENT ? not_found : cannot_run, "%s: %s", *words, strerror(errno));
    return cannot_run;
}
