// The dlsym of libc, for executables that define their own.
#pragma once

#include <cstdlib>
#include <dlfcn.h>

inline void *real_dlsym(void *handle, const char *name) {
    using function = void *(void *, const char *);
    static function *const found = [] {
        for (const char *version : {"GLIBC_2.34", "GLIBC_2.17", "GLIBC_2.2.5", "GLIBC_2.0"})
            if (void *address = dlvsym(RTLD_NEXT, "dlsym", version))
                return reinterpret_cast<function *>(address);
        std::abort();
    }();
    return found(handle, name);
}
