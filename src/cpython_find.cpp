// Finds CPython in this process, or loads it.
#include "cpython.hpp"

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <initializer_list>
#include <link.h>
#include <pthread.h>

#include "cpython_table.hpp"
#include "fatal.hpp"
#include "pyattach/interpreter.h"

namespace pyattach::cpython {
namespace {

pthread_mutex_t find_lock = PTHREAD_MUTEX_INITIALIZER;
// libpython3.11.so.1.0, libpython3.13t.so: yes. libpython3.so, which only forwards to one of them: no.
bool is_libpython(const char *path) noexcept {
    const char *slash = std::strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    return std::strncmp(name, "libpython3.", 11) == 0 && name[11] >= '0' && name[11] <= '9';
}

// CPython 3.15 is the newest known; later ones are taken if they still have every function.
constexpr int newest_minor = 15;

struct candidates {
    char path[2][PATH_MAX];
    int count;
};

int look_at(dl_phdr_info *info, size_t, void *into) noexcept {
    auto &all = *static_cast<candidates *>(into);
    if (is_libpython(info->dlpi_name) && all.count < 2)
        std::snprintf(all.path[all.count++], PATH_MAX, "%s", info->dlpi_name);
    return 0;
}

// Something in this process answers to CPython's names.
bool has_python(void *handle) noexcept { return dlsym(handle, "Py_IsInitialized") != nullptr; }

// The handle to look symbols up in. NULL: none, and `outcome` says which kind of none.
void *look_for_python(reason &why, pyattach_status &outcome) noexcept {
    // What the global scope resolves is what everybody else in the process uses, so it wins.
    if (has_python(RTLD_DEFAULT))
        return RTLD_DEFAULT;
    candidates loaded = {};
    dl_iterate_phdr(look_at, &loaded);
    if (loaded.count == 1)
        // By path: by soname fails for a library without one. Never unloaded: callbacks of ours stay registered with
        // it.
        if (void *handle = dlopen(loaded.path[0], RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE))
            if (has_python(handle))
                return handle;
    outcome = PYATTACH_NO_PYTHON;
    if (loaded.count == 2) {
        outcome = PYATTACH_UNSUPPORTED;
        std::snprintf(
            why.text, sizeof why.text,
            "two Pythons are loaded and neither is in the global scope: %.200s and %.200s; name the one to use with "
            "pyattach_python_load",
            loaded.path[0], loaded.path[1]);
    } else if (dlsym(RTLD_DEFAULT, "PyPy_IsInitialized") || dlsym(RTLD_DEFAULT, "PyPyThreadState_Get")) {
        outcome = PYATTACH_UNSUPPORTED;
        std::snprintf(why.text, sizeof why.text,
                      "this process runs PyPy; libpyattach works with CPython 3.9 and newer");
    }
    return nullptr;
}

// Opens `name`, and takes it if it holds a Python we can use. Opened out of the global scope first: one that is refused
// must not stay in the way of the next.
pyattach_status try_library(const char *name, reason &why) noexcept {
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *error = dlerror();
        std::snprintf(why.text, sizeof why.text, "%s", error ? error : name);
        return PYATTACH_NO_PYTHON;
    }
    pyattach_status outcome = PYATTACH_NO_PYTHON;
    if (has_python(handle))
        outcome = adopt(handle, why);
    else
        std::snprintf(why.text, sizeof why.text, "%.400s is not a CPython library: it lacks Py_IsInitialized", name);
    if (outcome != PYATTACH_OK)
        dlclose(handle);
    else
        // Extension modules that do not link libpython find it in the global scope.
        dlopen(name, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);
    return outcome;
}

// The newest usable libpython that the dynamic linker knows by name.
pyattach_status try_default(reason &why) noexcept {
    pyattach_status outcome = PYATTACH_NO_PYTHON;
    for (int minor = newest_minor; minor >= 9; --minor)
        for (const char *flavour : {"", "t"}) {
            char name[40];
            std::snprintf(name, sizeof name, "libpython3.%d%s.so.1.0", minor, flavour);
            reason of_this;
            pyattach_status tried = try_library(name, of_this);
            if (tried == PYATTACH_OK)
                return tried;
            if (tried == PYATTACH_UNSUPPORTED) {
                outcome = tried;
                why = of_this;
            }
        }
    if (outcome == PYATTACH_NO_PYTHON)
        std::snprintf(why.text, sizeof why.text, "no libpython3.*.so.1.0 is in the dynamic linker's path; name one");
    return outcome;
}

// Whether the library behind `handle` is the file that the table in use was made from.
bool is_same_file(void *handle) noexcept {
    char theirs[PATH_MAX];
    path_of(dlsym(handle, "Py_IsInitialized"), theirs);
    return std::strcmp(theirs, python().path) == 0;
}

pyattach_status locked_find(reason &why) noexcept {
    if (is_found())
        return PYATTACH_OK;
    pyattach_status outcome = PYATTACH_OK;
    void *handle = look_for_python(why, outcome);
    return outcome ? outcome : adopt(handle, why);
}

pyattach_status locked_load(const char *path, reason &why) noexcept {
    if (!path) {
        pyattach_status outcome = locked_find(why);
        if (outcome != PYATTACH_NO_PYTHON)
            return outcome;
        return try_default(why);
    }
    // What is in scope already is found first, so that a second Python beside it is noticed rather than half used.
    if (!is_found() && has_python(RTLD_DEFAULT))
        if (pyattach_status outcome = adopt(RTLD_DEFAULT, why))
            return outcome;
    if (is_found()) {
        void *handle = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
        if (handle && has_python(handle) && is_same_file(handle))
            return PYATTACH_OK;
        char named[PATH_MAX];
        if (realpath(path, named) && std::strcmp(named, python().path) == 0)
            return PYATTACH_OK;
        std::snprintf(why.text, sizeof why.text,
                      "%.250s cannot be used: this process uses the Python in %.250s already", path, python().path);
        return PYATTACH_INVALID;
    }
    return try_library(path, why);
}

template <class Locked> pyattach_status locked(Locked &&call) noexcept {
    reason why;
    pthread_mutex_lock(&find_lock);
    pyattach_status outcome = call(why);
    pthread_mutex_unlock(&find_lock);
    // The handler is the user's code, and runs without a lock of ours (invariant 9).
    if (why.text[0] && outcome)
        report("%s", why.text);
    return outcome;
}

} // namespace

void hold_finder() noexcept { pthread_mutex_lock(&find_lock); }
void let_finder_go() noexcept { pthread_mutex_unlock(&find_lock); }

pyattach_status find() noexcept {
    return is_found() ? PYATTACH_OK : locked([](reason &why) { return locked_find(why); });
}

pyattach_status load(const char *path) noexcept {
    return locked([path](reason &why) { return locked_load(path, why); });
}

pyattach_status describe(pyattach_python *out) noexcept {
    if (!out || out->struct_size == 0)
        return PYATTACH_INVALID;
    if (pyattach_status missing = find())
        return missing;
    const table &py = python();
    pyattach_python all = {out->struct_size, py.version_hex, py.free_threaded, py.debug, py.path};
    std::memcpy(out, &all, out->struct_size < sizeof all ? out->struct_size : sizeof all);
    return PYATTACH_OK;
}

} // namespace pyattach::cpython
