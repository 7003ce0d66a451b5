// Loader call: calls of the dynamic linker on behalf of other objects.
#include "platform/loader_call.hpp"

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <initializer_list>
#include <link.h>

namespace pyattach::loader {
namespace {

// The object that contains the address. NULL: none does.
link_map *object_of(const void *address) noexcept {
    Dl_info info;
    link_map *found = nullptr;
    return dladdr1(address, &info, reinterpret_cast<void **>(&found), RTLD_DL_LINKMAP) ? found : nullptr;
}

bool has_run_path(const link_map &object) noexcept {
    for (const ElfW(Dyn) *entry = object.l_ld; entry && entry->d_tag != DT_NULL; ++entry)
        if (entry->d_tag == DT_RUNPATH || entry->d_tag == DT_RPATH)
            return true;
    return false;
}

// The part of the name behind $ORIGIN, which stands for the folder of the caller; NULL: the name does not begin so.
const char *behind_origin(const char *name) noexcept {
    for (const char *origin : {"$ORIGIN/", "${ORIGIN}/"})
        if (std::strncmp(name, origin, std::strlen(origin)) == 0)
            return name + std::strlen(origin);
    return nullptr;
}

void *open_beside(const link_map &caller, const char *name, int flags) {
    const char *slash = std::strrchr(caller.l_name, '/');
    char file[PATH_MAX];
    const int folder = slash ? static_cast<int>(slash - caller.l_name) : 0;
    const int length = std::snprintf(file, sizeof file, "%.*s/%s", folder, caller.l_name, name);
    return slash && length < PATH_MAX ? dlopen(file, flags) : nullptr;
}

// Opens what the dynamic linker would find in the directories where it searches for the libraries of `caller`.
void *open_in_path_of(link_map *caller, const char *name, int flags) {
    Dl_serinfo size;
    if (dlinfo(caller, RTLD_DI_SERINFOSIZE, &size))
        return nullptr;
    auto *path = static_cast<Dl_serinfo *>(std::malloc(size.dls_size));
    if (!path)
        return nullptr;
    void *handle = nullptr;
    *path = size;
    if (dlinfo(caller, RTLD_DI_SERINFOSIZE, path) == 0 && dlinfo(caller, RTLD_DI_SERINFO, path) == 0)
        for (unsigned i = 0; i < path->dls_cnt && !handle; ++i) {
            char file[PATH_MAX];
            if (std::snprintf(file, sizeof file, "%s/%s", path->dls_serpath[i].dls_name, name) < PATH_MAX)
                handle = dlopen(file, flags);
        }
    std::free(path);
    return handle;
}

} // namespace

void *open_for(const void *caller, const char *name, int flags) {
    const char *behind = name ? behind_origin(name) : nullptr;
    if (!name || (std::strchr(name, '/') && !behind))
        return dlopen(name, flags);
    link_map *owner = object_of(caller);
    if (owner && behind) {
        if (void *found = open_beside(*owner, behind, flags))
            return found;
    } else if (owner && has_run_path(*owner)) {
        // What is loaded already goes by its name.
        if (void *loaded = dlopen(name, flags | RTLD_NOLOAD))
            return loaded;
        if (void *found = (flags & RTLD_NOLOAD) ? nullptr : open_in_path_of(owner, name, flags))
            return found;
    }
    return dlopen(name, flags); // which finds what only the cache knows, or says why not
}

void *open_into(long name_space, const char *name, int flags) { return dlmopen(name_space, name, flags); }

void clear_error() noexcept { dlerror(); }

} // namespace pyattach::loader
