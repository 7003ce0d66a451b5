// Finds CPython in this process, or loads it.
#include "cpython/cpython.hpp"

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "base/diagnostics.hpp"
#include "cpython/table.hpp"
#include "platform/kept_errno.hpp"
#include "platform/loader.hpp"
#include "pyattach/interpreter.h"

namespace pyattach::cpython {
namespace {

// No lock of this library is held over the dynamic linker (invariant 9): dlopen runs the constructors of what it loads
// under the dynamic linker's own lock, and a constructor may call this library while another thread looks for a Python.
// So each thread fills a table of its own, and the first to finish publishes its table with one compare-and-swap.

// libpython3.11.so.1.0, libpython3.13t.so: yes. libpython3.so, which only forwards to one of them: no.
bool is_libpython(const char *path) noexcept {
    const char *slash = std::strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    return std::strncmp(name, "libpython3.", 11) == 0 && name[11] >= '0' && name[11] <= '9';
}

// CPython 3.15 is the newest known; later ones are taken if they still have every function.
constexpr int newest_minor = 15;

// Each explains itself once to a message handler, because a thread may ask again and again until a Python is there.
refusal_site two_pythons, other_implementation, unusable_python;

struct candidates {
    char path[2][PATH_MAX];
    int count;
};

void note_libpython(const char *path, void *into) noexcept {
    auto &all = *static_cast<candidates *>(into);
    if (is_libpython(path) && all.count < 2)
        std::snprintf(all.path[all.count++], PATH_MAX, "%s", path);
}

// The address tells which Python it is: each that is loaded has its own. NULL: none.
void *python_in(void *handle) noexcept { return loader::symbol(handle, "Py_IsInitialized"); }
bool is_in_use(void *address) noexcept {
    return address && address == reinterpret_cast<void *>(python().is_initialized);
}

// Takes the Python that `handle` has at `address`, and closes the handle unless that is the one in use: it stays open,
// also where adopt() could not keep it otherwise.
pyattach_status adopt_or_close(void *handle, void *address, reason &why) noexcept {
    const pyattach_status outcome = adopt(handle, why);
    if (outcome || !is_in_use(address))
        loader::close(handle);
    return outcome;
}

// The only libpython among the loaded libraries, those loaded RTLD_LOCAL included; to be closed. NULL: there is none,
// or more than one, and `outcome` says which. `address`: where that Python is.
void *open_loaded(void *&address, reason &why, pyattach_status &outcome) noexcept {
    candidates loaded = {};
    loader::for_each_library(note_libpython, &loaded);
    if (loaded.count == 1)
        // By path: by soname fails for a library without one.
        if (void *handle = loader::open_loaded(loaded.path[0])) {
            if ((address = python_in(handle)))
                return handle;
            loader::close(handle);
        }
    outcome = PYATTACH_NO_PYTHON;
    if (loaded.count == 2) {
        outcome = PYATTACH_UNSUPPORTED;
        why.site = &two_pythons;
        std::snprintf(
            why.text, sizeof why.text,
            "two Pythons are loaded and neither is in the global scope: %.200s and %.200s; name the one to use with "
            "pyattach_python_load",
            loaded.path[0], loaded.path[1]);
    } else if (loader::symbol(loader::global_scope, "PyPy_IsInitialized") ||
               loader::symbol(loader::global_scope, "PyPyThreadState_Get")) {
        outcome = PYATTACH_UNSUPPORTED;
        why.site = &other_implementation;
        std::snprintf(why.text, sizeof why.text,
                      "this process runs PyPy; libpyattach works with CPython 3.9 and newer");
    }
    return nullptr;
}

pyattach_status look_for_python(reason &why) noexcept {
    if (is_found())
        return PYATTACH_OK;
    // What the global scope resolves is what other code in the process uses, so it wins.
    if (python_in(loader::global_scope))
        return adopt(loader::global_scope, why);
    pyattach_status outcome = PYATTACH_OK;
    void *address = nullptr, *handle = open_loaded(address, why, outcome);
    return handle ? adopt_or_close(handle, address, why) : outcome;
}

// Opens `name`, and takes it if it holds a Python that can be used. Opened out of the global scope first: one that is
// refused must not stay in the way of the next. OK: a Python is in use, perhaps another that another thread named
// meanwhile.
pyattach_status try_library(const char *name, reason &why) noexcept {
    // A libpython that such a program opens brings a second libc, which knows nothing of the first one's threads.
    if (loader::is_static_program()) {
        std::snprintf(
            why.text, sizeof why.text,
            "this program is linked statically (-static), and Python needs a dynamic linker: link libc dynamically; "
            "libpyattach itself may be static");
        return PYATTACH_UNSUPPORTED;
    }
    void *handle = loader::open_private(name);
    if (!handle) {
        const char *error = loader::last_error();
        std::snprintf(why.text, sizeof why.text, "%s", error ? error : name);
        return PYATTACH_NO_PYTHON;
    }
    if (void *address = python_in(handle))
        return adopt_or_close(handle, address, why);
    std::snprintf(why.text, sizeof why.text, "%.400s is not a CPython library: it lacks Py_IsInitialized", name);
    loader::close(handle);
    return PYATTACH_NO_PYTHON;
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
            if (tried == PYATTACH_OK || tried == PYATTACH_NO_MEMORY)
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

// Whether `path`, as given to load(), names the Python in use.
bool is_path_of_python(const char *path) noexcept {
    if (void *handle = loader::open_loaded(path)) {
        const bool is_it = is_in_use(python_in(handle));
        loader::close(handle);
        if (is_it)
            return true;
    }
    // The program itself, which no path opens.
    char named[PATH_MAX];
    return realpath(path, named) && std::strcmp(named, python().path) == 0;
}

pyattach_status load_named(const char *path, reason &why) noexcept {
    if (!is_found()) {
        // What is in scope already is found first, so that a second Python beside it is noticed rather than half used.
        pyattach_status outcome =
            python_in(loader::global_scope) ? adopt(loader::global_scope, why) : try_library(path, why);
        if (outcome)
            return outcome;
    }
    // Also where this thread has opened it: another thread may have named another one at the same time, and won.
    if (is_path_of_python(path))
        return PYATTACH_OK;
    std::snprintf(
        why.text, sizeof why.text,
        "%.250s cannot be used: this process uses the Python in %.250s already; a process uses one Python for "
        "good",
        path, python().path);
    return PYATTACH_INVALID;
}

pyattach_status load_any(reason &why) noexcept {
    pyattach_status outcome = look_for_python(why);
    return outcome == PYATTACH_NO_PYTHON ? try_default(why) : outcome;
}

} // namespace

pyattach_status find() noexcept {
    if (is_found())
        return PYATTACH_OK;
    const kept_errno kept;
    reason why;
    pyattach_status outcome = look_for_python(why);
    return outcome && why.text[0] ? refused(outcome, why.site ? *why.site : unusable_python, why.text) : outcome;
}

pyattach_status load(const char *path) noexcept {
    const kept_errno kept;
    if (path && !*path) {
        static refusal_site empty_path;
        return refused(
            PYATTACH_INVALID, empty_path,
            "pyattach_python_load: the path is empty. A path names a libpython, as for dlopen. Pass NULL for "
            "the Python in the process, or else the newest libpython that the dynamic linker finds.");
    }
    reason why;
    pyattach_status outcome = path ? load_named(path, why) : load_any(why);
    if (!outcome)
        make_global();
    else if (why.text[0])
        report("%s", why.text); // at each call, since each may name another one
    return outcome;
}

pyattach_status describe(pyattach_python *out) noexcept {
    if (!out)
        return PYATTACH_INVALID;
    if (out->struct_size == 0) {
        static refusal_site no_size;
        return refused(
            PYATTACH_INVALID, no_size,
            "pyattach_python_describe: struct_size is zero. It says how much of the struct the caller knows. "
            "Set it to sizeof(pyattach_python) before the call.");
    }
    if (pyattach_status missing = find())
        return missing;
    const table &py = python();
    pyattach_python all = {out->struct_size, py.version_hex, py.free_threaded, py.debug, py.path};
    std::memcpy(out, &all, out->struct_size < sizeof all ? out->struct_size : sizeof all);
    return PYATTACH_OK;
}

} // namespace pyattach::cpython
