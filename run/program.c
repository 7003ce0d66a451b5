/* The program that a command becomes, and why LD_PRELOAD would be without effect in it. */
#include "command.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Behind what is there already, once. */
static void preload(const char *path) {
    const char *before = getenv("LD_PRELOAD");
    const size_t length = strlen(path);
    const char *found = before ? strstr(before, path) : NULL;
    if (found && (found == before || strchr(" :", found[-1])) && strchr(" :", found[length]))
        return;
    set_or_unset("LD_PRELOAD", before && *before ? joined(before, ":", path) : path);
}

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
    if (fgetxattr(file, "security.capability", NULL, 0) > 0 && geteuid() != 0)
        stop(wrong_use,
             "%s has capabilities of its own, and the dynamic linker ignores LD_PRELOAD for such a program. "
             "Run it as root, or link its modules to libpyattach (docs/adopt.md).",
             path);
    if (((about.st_mode & S_ISUID) && about.st_uid != geteuid()) ||
        ((about.st_mode & S_ISGID) && about.st_gid != getegid()))
        stop(wrong_use,
             "%s runs as another user or group (setuid), and the dynamic linker ignores LD_PRELOAD for such a program. "
             "Run it as that user, or link its modules to libpyattach (docs/adopt.md).",
             path);
}

static void check_elf(const char *path, int file, const Elf64_Ehdr *head) {
    int is_dynamic = 0;
    if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_machine != RUN_MACHINE)
        stop(wrong_use,
             "%s is for another kind of machine than libpyattach, and cannot load it. "
             "Build libpyattach for that machine.",
             path);
    for (unsigned i = 0; i < head->e_phnum; ++i) {
        Elf64_Phdr part;
        const off_t at = (off_t)(head->e_phoff + (Elf64_Off)i * head->e_phentsize);
        if (pread(file, &part, sizeof part, at) != (ssize_t)sizeof part)
            return; /* execve says what is wrong with it */
        is_dynamic |= part.p_type == PT_INTERP;
    }
    if (!is_dynamic)
        stop(wrong_use,
             "%s is linked statically (-static), so no library can be loaded with it. "
             "Link libc dynamically.",
             path);
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

int run_program(char **words, const char *library_path) {
    char *path = program_path(*words);
    check(path, 1);
    preload(library_path);
    /* Not execvp: what was checked is what is run. A file without a first line for the kernel is run by a shell. */
    execv(path, words);
    if (errno == ENOEXEC)
        execvp(*words, words);
    stop(errno == ENOENT ? not_found : cannot_run, "%s: %s", *words, strerror(errno));
    return cannot_run;
}
