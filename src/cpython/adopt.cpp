// Fills the table from a library that holds CPython. The capabilities are decided here.
#include "cpython/adopt.hpp"

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/internal_lock.hpp"
#include "cpython/guarded.hpp"
#include "platform/loader.hpp"

namespace pyattach::cpython {
namespace {

// What adopt() publishes once: the table, and the path that it points to.
struct python_in_use {
    table functions;
    char path[PATH_MAX];
};

struct symbol {
    const char *name, *other;
    size_t offset;
    bool required;
};

#define REQUIRED(result, name, parameters, symbol, other) {symbol, other, offsetof(table, name), true},
#define OPTIONAL(result, name, parameters, symbol, other) {symbol, other, offsetof(table, name), false},
constexpr symbol symbols[] = {
#include "cpython/functions.inc"
    {"_Py_NoneStruct", nullptr, offsetof(table, none), true},
    {"PyExc_TypeError", nullptr, offsetof(table, type_error), true},
    {"PyExc_RuntimeWarning", nullptr, offsetof(table, runtime_warning), true},
    {"PyExc_SystemError", nullptr, offsetof(table, system_error), true},
    {"PyExc_MemoryError", nullptr, offsetof(table, memory_error), true},
    {"_PyRuntime", nullptr, offsetof(table, runtime), false},
};
#undef REQUIRED
#undef OPTIONAL

// Py_GetVersion writes its answer into a static buffer, up to 3.10 at each call and up to 3.12 at the first one, so a
// second thread could read it half written. The lock is held during that call only, which runs no other code. A fork
// child that inherits the lock in the locked state waits for a tenth of a second and then calls without it.
constexpr int64_t version_limit_ns = 100000000;
internal_lock version_lock;
void read_version(const table &found, char (&text)[256]) noexcept {
    const bool is_locked = version_lock.lock_within(version_limit_ns);
    std::snprintf(text, sizeof text, "%s", found.get_version ? found.get_version() : "of unknown version");
    if (is_locked)
        version_lock.unlock();
}

// A thread that CPython ends in this call has no use for errno, so the assignment need not be a destructor's.
void restore_keeping_errno(thread_state *tstate) {
    const int kept = errno;
    python().restore_without_errno(tstate);
    errno = kept;
}

// Whether PyMutex is one byte whose bit 0 means locked, and whose other bits are zero while no thread waits. Locking a
// free one needs no tstate.
bool is_mutex_as_known(const table &py) noexcept {
    if (!py.mutex_lock || !py.mutex_unlock)
        return false;
    alignas(8) unsigned char bytes[8] = {};
    bool was_locked = guarded([&py, &bytes] {
        py.mutex_lock(bytes);
        return bytes[0] == 1;
    });
    py.mutex_unlock(bytes);
    for (unsigned char byte : bytes)
        was_locked = was_locked && byte == 0;
    return was_locked;
}

pyattach_status unsupported(const table &found, reason &why, const char *what) noexcept {
    char path[PATH_MAX], version[256];
    read_version(found, version);
    loader::path_of(reinterpret_cast<const void *>(found.is_initialized), path);
    std::snprintf(why.text, sizeof why.text, "Python %.*s in %.300s cannot be used: %s",
                  static_cast<int>(std::strcspn(version, " ")), version, path, what);
    return PYATTACH_UNSUPPORTED;
}

} // namespace

unsigned parse_version(const char *text) noexcept {
    unsigned major = 0, minor = 0, micro = 0, serial = 0;
    std::sscanf(text, "%u.%u.%u%*[abrc]%u", &major, &minor, &micro, &serial);
    const char *end = text + std::strspn(text, "0123456789.");
    unsigned level = *end == 'a' ? 0xa : *end == 'b' ? 0xb : *end == 'r' ? 0xc : 0xf;
    return major << 24 | minor << 16 | micro << 8 | level << 4 | serial;
}

namespace {

// Everything except the path.
pyattach_status fill(table &found, void *handle, reason &why) noexcept {
    found = {};
    const char *missing = nullptr;
    for (const symbol &entry : symbols) {
        void *address = loader::symbol(handle, entry.name);
        if (!address && entry.other)
            address = loader::symbol(handle, entry.other);
        if (!address && entry.required && !missing)
            missing = entry.name;
        // POSIX allows the conversion of void * to a function pointer.
        std::memcpy(reinterpret_cast<char *>(&found) + entry.offset, &address, sizeof address);
    }
    char text[256] = "";
    if (found.get_version) {
        read_version(found, text);
        found.version_hex = parse_version(text);
        if (std::strstr(text, "PyPy"))
            return unsupported(found, why, "it is PyPy; libpyattach works with CPython 3.9 and newer");
        if (found.version_hex < 0x03090000)
            return unsupported(found, why, "libpyattach works with CPython 3.9 and newer");
    }
    if (missing) {
        char lack[200];
        std::snprintf(lack, sizeof lack, "it lacks %s", missing);
        return unsupported(found, why, lack);
    }
    void *address = loader::symbol(loader::global_scope, "__tls_get_addr");
    std::memcpy(reinterpret_cast<char *>(&found) + offsetof(table, thread_local_at), &address, sizeof address);
    const unsigned minor = found.version_hex >> 16;
    found.free_threaded = loader::symbol(handle, "_Py_MergeZeroLocalRefcount") ||
                          loader::symbol(handle, "PyUnstable_Module_SetGIL") || std::strstr(text, "free-threading");
    found.debug = loader::symbol(handle, "_Py_NegativeRefcount") != nullptr;
    found.current_is_own = minor >= 0x030c;
    found.attaching_binds_gilstate = minor >= 0x030c;
    if (found.attaching_binds_gilstate)
        found.bind_gilstate = nullptr; // from 3.12 these symbols name other functions
    found.gilstate_outlives_python = minor >= 0x030f;
    found.importing_threading_claims_main = minor < 0x030d;
    found.delete_empties_gilstate = minor >= 0x030c;
    found.sub_interpreters_keep_tstates = minor >= 0x030e;
    found.exit_functions_in_place = minor < 0x030e;
    found.fork_copies_tstate_lock = minor < 0x030c;
    found.end_frees_tstates = minor < 0x030e;
    found.ends_refused_threads = found.version_hex < 0x030d0800;
    found.reaps_foreign_tstates = !found.debug;
    found.sections_lock = found.free_threaded && found.section_begin && found.section2_begin && found.section_end &&
                          found.section2_end && (found.section_begin_mutex || found.section_begin_slow) &&
                          (found.section2_begin_mutex || found.section2_begin_slow);
    found.has_mutex = is_mutex_as_known(found);
    // With a GIL, PyEval_RestoreThread keeps errno while it waits for the GIL. Without one it waits while the world is
    // stopped, and does not keep errno.
    if (found.free_threaded)
        found.restore_without_errno = std::exchange(found.restore, restore_keeping_errno);
    if (found.free_threaded && !(found.sections_lock && found.has_mutex))
        return unsupported(found, why, "it is free-threaded, and its critical sections or mutexes are not as known");
    return PYATTACH_OK;
}

} // namespace

pyattach_status adopt(void *handle, reason &why) noexcept {
    void *memory = std::malloc(sizeof(python_in_use));
    if (!memory) {
        std::snprintf(why.text, sizeof why.text, "there is no memory for the table of CPython's functions");
        return PYATTACH_NO_MEMORY;
    }
    auto *in_use = new (memory) python_in_use();
    pyattach_status outcome = fill(in_use->functions, handle, why);
    if (outcome) {
        std::free(memory);
        return outcome;
    }
    const auto *address = reinterpret_cast<const void *>(in_use->functions.is_initialized);
    loader::path_of(address, in_use->path);
    in_use->functions.path = in_use->path;
    // Release pairs with the acquire in python(): the table is complete before another thread can read the pointer. The
    // first thread wins. The caller compares whether the winner's Python is the one that it named itself.
    const table *expected = &no_python_table;
    if (!published.compare_exchange_strong(expected, &in_use->functions, std::memory_order_acq_rel,
                                           std::memory_order_acquire)) {
        std::free(memory);
        return PYATTACH_OK;
    }
    // CPython keeps pointers into this library (the atexit callback, a capsule's destructor), and this library keeps
    // pointers into CPython, so neither must ever be unmapped. `-z nodelete` keeps the shared library loaded. pin()
    // keeps an object loaded that contains the static library, and a CPython in the local scope of a plugin, which
    // would be unloaded with that plugin.
    loader::pin(reinterpret_cast<const void *>(&adopt), false);
    loader::pin(address, false);
    return PYATTACH_OK;
}

} // namespace pyattach::cpython
