// Loader call: calls of the dynamic linker on behalf of other objects.
#include "platform/loader_call.hpp"

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <link.h>

namespace pyattach::loader {
namespace {

// The object that contains the address, if it has a run path; NULL: it has none, so who calls dlopen makes no
// difference.
link_map *with_run_path(const void *address) noexcept {
    Dl_info info;
    link_map *found = nullptr;
    if (!dladdr1(address, &info, reinterpret_cast<void **>(&found), RTLD_DL_LINKMAP) || !found)
        return nullptr;
    for (const ElfW(Dyn) *entry = found->l_ld; entry && entry->d_tag != DT_NULL; ++entry)
        if (entry->d_tag == DT_RUNPATH || entry->d_tag == DT_RPATH)
            return found;
    return nullptr;
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
    if (!name || std::strchr(name, '/'))
        return dlopen(name, flags);
    link_map *owner = with_run_path(caller);
    if (!owner)
        return dlopen(name, flags);
    // What is loaded already goes by its name.
    if (void *loaded = dlopen(name, flags | RTLD_NOLOAD))
        return loaded;
    if (void *found = (flags & RTLD_NOLOAD) ? nullptr : open_in_path_of(owner, name, flags))
        return found;
    return dlopen(name, flags); // which finds what only the cache knows, or says why not
}

void *open_into(long name_space, const char *name, int flags) { return dlmopen(name_space, name, flags); }

void clear_error() noexcept { dlerror(); }

} // namespace pyattach::loader
