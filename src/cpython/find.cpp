// Finds CPython in this process, or loads it.
#include "cpython/find.hpp"

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "base/diagnostics.hpp"
#include "cpython/adopt.hpp"
#include "platform/kept_errno.hpp"
#include "platform/loader.hpp"
#include "pyattach/interpreter.h"

namespace pyattach::cpython {
namespace {

// No internal lock is held over the dynamic linker (invariant 9). dlopen runs the constructors of a library that it
// loads under the dynamic linker's own lock, and a constructor may call this library while another thread searches for
// a Python. So each thread fills a table of its own, and the first to finish publishes its table with one
// compare-and-swap.

// True of libpython3.11.so.1.0 and libpython3.13t.so. False of libpython3.so, which only forwards to one of them.
bool is_libpython(const char *path) noexcept {
    const char *slash = std::strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    return std::strncmp(name, "libpython3.", 11) == 0 && name[11] >= '0' && name[11] <= '9';
}

// CPython 3.15 is the newest known version. Later ones are accepted if they still have every function.
constexpr int newest_minor = 15;

// Each site calls a message handler once, because a thread may repeat its call until a Python is there.
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

// The address of a function of the Python in this library. It identifies the Python, as each loaded Python has its own.
// NULL: the library holds none.
void *python_in(void *handle) noexcept { return loader::symbol(handle, "Py_IsInitialized"); }
bool is_in_use(void *address) noexcept {
    return address && address == reinterpret_cast<void *>(python().is_initialized);
}

// Adopts the Python that python_in() has found at `address`. Closes the handle unless that Python is the one in use:
// its handle stays open, also where adopt() could not pin the library.
pyattach_status adopt_or_close(void *handle, void *address, reason &why) noexcept {
    const pyattach_status outcome = adopt(handle, why);
    if (outcome || !is_in_use(address))
        loader::close(handle);
    return outcome;
}

// A handle for the only libpython among the loaded libraries, including those loaded RTLD_LOCAL. The caller closes it.
// `address` is what python_in() finds. NULL: there is no libpython, or more than one, and `outcome` is the status of
// that.
void *open_loaded(void *&address, reason &why, pyattach_status &outcome) noexcept {
    candidates loaded = {};
    loader::for_each_library(note_libpython, &loaded);
    if (loaded.count == 1)
        // Opened by its path, because opening by soname fails for a library without one.
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

pyattach_status search_process(reason &why) noexcept {
    if (is_found())
        return PYATTACH_OK;
    // Other code in the process uses the Python of the global scope, so that one wins.
    if (python_in(loader::global_scope))
        return adopt(loader::global_scope, why);
    pyattach_status outcome = PYATTACH_OK;
    void *address = nullptr, *handle = open_loaded(address, why, outcome);
    return handle ? adopt_or_close(handle, address, why) : outcome;
}

// Opens `name`, and adopts the Python in it if that is usable. The library is opened outside of the global scope first,
// because a refused one must not hide the next. OK: a Python is in use, which may be one that another thread has named
// meanwhile.
pyattach_status try_library(const char *name, reason &why) noexcept {
    // A libpython that such a program opens brings a second libc, which has no record of the first libc's threads.
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

// Adopts the newest usable libpython that the dynamic linker finds by its name.
pyattach_status try_default(reason &why) noexcept {
    pyattach_status outcome = PYATTACH_NO_PYTHON;
    for (int minor = newest_minor; minor >= 9; --minor)
        for (const char *flavour : {"", "t"}) {
            char name[40];
            std::snprintf(name, sizeof name, "libpython3.%d%s.so.1.0", minor, flavour);
            reason rejected_because;
            pyattach_status tried = try_library(name, rejected_because);
            if (tried == PYATTACH_OK || tried == PYATTACH_NO_MEMORY)
                return tried;
            if (tried == PYATTACH_UNSUPPORTED) {
                outcome = tried;
                why = rejected_because;
            }
        }
    if (outcome == PYATTACH_NO_PYTHON)
        std::snprintf(why.text, sizeof why.text, "no libpython3.*.so.1.0 is in the dynamic linker's path; name one");
    return outcome;
}

// Whether `path`, as given to load(), names the Python in use.
bool is_path_of_python(const char *path) noexcept {
    if (void *handle = loader::open_loaded(path)) {
        const bool is_same = is_in_use(python_in(handle));
        loader::close(handle);
        if (is_same)
            return true;
    }
    // The program itself cannot be opened by its path, so the file names are compared.
    char named[PATH_MAX];
    return realpath(path, named) && std::strcmp(named, python().path) == 0;
}

pyattach_status load_named(const char *path, reason &why) noexcept {
    if (!is_found()) {
        // A Python in the global scope is adopted first, so that a second one is refused below rather than half used.
        pyattach_status outcome =
            python_in(loader::global_scope) ? adopt(loader::global_scope, why) : try_library(path, why);
        if (outcome)
            return outcome;
    }
    // Checked also where this thread has opened the library: another thread may have named another Python at the same
    // time, and published its table first.
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
    pyattach_status outcome = search_process(why);
    return outcome == PYATTACH_NO_PYTHON ? try_default(why) : outcome;
}

} // namespace

pyattach_status find() noexcept {
    if (is_found())
        return PYATTACH_OK;
    const kept_errno kept;
    reason why;
    pyattach_status outcome = search_process(why);
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
        report("%s", why.text); // at each call, since each call may name another library
    return outcome;
}

void make_global() noexcept {
    // Once true it stays true. Relaxed: the flag only saves a second call of the dynamic linker.
    static std::atomic<bool> is_global{false};
    if (is_global.load(std::memory_order_relaxed))
        return;
    if (loader::pin(reinterpret_cast<const void *>(python().is_initialized), true)) {
        is_global.store(true, std::memory_order_relaxed);
    } else {
        const char *error = loader::last_error();
        report("the symbols of %.250s could not be made global, so extension modules may not find them: %.250s",
               python().path, error ? error : "no reason given");
    }
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
    pyattach_python result = {out->struct_size, py.version_hex, py.free_threaded, py.debug, py.path};
    std::memcpy(out, &result, out->struct_size < sizeof result ? out->struct_size : sizeof result);
    return PYATTACH_OK;
}

} // namespace pyattach::cpython
