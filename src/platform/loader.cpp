// The dynamic linker of glibc or musl.
#include "platform/loader.hpp"

#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <link.h>

namespace pyattach::loader {
namespace {

struct visitor {
    void (*visit)(const char *path, void *argument) noexcept;
    void *argument;
};

struct wanted_locals {
    uintptr_t code;
    thread_locals *found;
};

// Called with each loaded library. Stops at the one that contains the wanted code.
int read_thread_locals(dl_phdr_info *library, size_t, void *wanted) noexcept {
    const auto &search = *static_cast<wanted_locals *>(wanted);
    bool has_code = false;
    size_t size = 0;
    for (unsigned i = 0; i < library->dlpi_phnum; ++i) {
        const auto &part = library->dlpi_phdr[i];
        if (part.p_type == PT_TLS)
            size = part.p_memsz;
        if (part.p_type == PT_LOAD)
            has_code = has_code || search.code - (library->dlpi_addr + part.p_vaddr) < part.p_memsz;
    }
    if (!has_code)
        return 0;
    const auto begin = reinterpret_cast<uintptr_t>(library->dlpi_tls_data);
    *search.found = {library->dlpi_tls_modid, begin, begin ? begin + size : 0};
    return 1;
}

// The library that contains `address`; NULL: no library does.
const link_map *library_of(const void *address) noexcept {
    Dl_info info;
    link_map *library = nullptr;
    return dladdr1(address, &info, reinterpret_cast<void **>(&library), RTLD_DL_LINKMAP) ? library : nullptr;
}

} // namespace

void *const global_scope = RTLD_DEFAULT;

void *symbol(void *handle, const char *name) noexcept { return dlsym(handle, name); }
void *open_loaded(const char *path) noexcept { return dlopen(path, RTLD_LAZY | RTLD_NOLOAD); }
void *open_private(const char *name) noexcept { return dlopen(name, RTLD_NOW | RTLD_LOCAL); }
void close(void *handle) noexcept { dlclose(handle); }
const char *last_error() noexcept { return dlerror(); }

void for_each_library(void (*visit)(const char *path, void *argument) noexcept, void *argument) noexcept {
    visitor caller = {visit, argument};
    dl_iterate_phdr(
        [](dl_phdr_info *library, size_t, void *data) {
            const auto &each = *static_cast<visitor *>(data);
            each.visit(library->dlpi_name, each.argument);
            return 0;
        },
        &caller);
}

bool is_static_program() noexcept {
    bool has_linker = false;
    // The first entry is the program. Its headers name its dynamic linker, also where the user has started the dynamic
    // linker with the program's name as an argument.
    dl_iterate_phdr(
        [](dl_phdr_info *program, size_t, void *result) {
            for (int i = 0; i < program->dlpi_phnum; ++i)
                *static_cast<bool *>(result) |= program->dlpi_phdr[i].p_type == PT_INTERP;
            return 1;
        },
        &has_linker);
    return !has_linker;
}

bool pin(const void *address, bool makes_global) noexcept {
    const link_map *library = library_of(address);
    if (!library || !library->l_name[0])
        return true; // the program itself, which is never unloaded, and is in the global scope
    const int scope = makes_global ? RTLD_GLOBAL : 0;
    void *handle = dlopen(library->l_name, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE | scope);
    if (handle)
        dlclose(handle); // RTLD_NODELETE and RTLD_GLOBAL stay in force
    return handle;
}

void path_of(const void *address, char (&path)[PATH_MAX]) noexcept {
    path[0] = '\0';
    Dl_info info;
    link_map *library = nullptr;
    if (!dladdr1(address, &info, reinterpret_cast<void **>(&library), RTLD_DL_LINKMAP))
        return;
    // For the main program, the name in the link map is empty and dli_fname is argv[0].
    bool is_program = library && library->l_name[0] == '\0';
    const char *name = is_program ? "/proc/self/exe" : info.dli_fname;
    if (!realpath(name, path))
        std::snprintf(path, sizeof path, "%s", name); // GCOVR_EXCL_LINE: the file was deleted after it was loaded
}

bool find_thread_locals(const void *code, thread_locals &found) noexcept {
    found = {};
    wanted_locals wanted = {reinterpret_cast<uintptr_t>(code), &found};
    return dl_iterate_phdr(read_thread_locals, &wanted) != 0;
}

} // namespace pyattach::loader
