// The table of CPython's functions and capabilities, filled at run time.
//
// This floor is the only place that depends on a version or a symbol of CPython. Other code tests a capability by its
// name, or calls CPython through the table.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "pyattach/base.h"

namespace pyattach {

using object = struct ::_object;

namespace cpython {

struct thread_state; // PyThreadState; only what layout.hpp describes is read from it
struct interp_state; // PyInterpreterState; nothing is read from it

// PyStatus, the only CPython struct that is returned by value. Its fields have not changed since 3.8.
struct init_outcome {
    int kind; // 0: no error
    const char *function;
    const char *message;
    int exit_code;
};

struct table {
#define REQUIRED(result, name, parameters, symbol, other) result(*name) parameters;
#define OPTIONAL(result, name, parameters, symbol, other) result(*name) parameters;
#include "cpython/functions.inc"
#undef REQUIRED
#undef OPTIONAL
    object *none;
    object **type_error, **runtime_warning, **system_error, **memory_error;

    // Capabilities of the Python in use.
    // From 3.12 `current` returns the calling thread's tstate. Up to 3.11 it returns the tstate of the thread that
    // holds the GIL.
    bool current_is_own;
    bool attaching_binds_gilstate;        // from 3.12 attaching a tstate stores it in the GILState slot
    bool gilstate_outlives_python;        // from 3.15 the GILState slot keeps a tstate of an earlier Python runtime
    bool importing_threading_claims_main; // up to 3.12 `threading` takes its first importer for the main thread
    bool delete_empties_gilstate;         // from 3.12 deleting any tstate empties the deleting thread's GILState slot
    bool sub_interpreters_keep_tstates;   // from 3.14 a sub-interpreter's end tolerates remaining tstates
    // Up to 3.13 atexit calls its callbacks from its list, from 3.14 on from a copy of the list.
    bool exit_functions_in_place;
    // Up to 3.13 finalization frees the tstates of other threads, which may be re-attaching to them.
    bool end_frees_tstates;
    // Up to 3.13.7 CPython ends a thread that it refuses during finalization with pthread_exit; from 3.13.8 it hangs
    // the thread. Only the reattach_guard reads this: `guarded` surrounds every such call on every version.
    bool ends_refused_threads;
    bool reaps_foreign_tstates;   // false on debug builds: their assertions forbid deleting another thread's tstate
    bool fork_copies_tstate_lock; // up to 3.11; see new_tstate
    bool sections_lock;           // free-threaded: critical sections are more than a no-op
    bool has_mutex;               // PyMutex exists; its bit 0 means locked, bit 1 that a thread waits
    bool free_threaded, debug;
    unsigned version_hex;
    const char *path;
    // PyEval_RestoreThread on a free-threaded Python, where `restore` is a wrapper of it that keeps errno.
    void (*restore_without_errno)(thread_state *);
    const char *runtime;                               // _PyRuntime; NULL: not exported
    void *(*thread_local_at)(const size_t *) noexcept; // __tls_get_addr; NULL: not exported
};

// The table in use. Until a Python is found, this is `no_python_table`: its `current` searches for a Python first, and
// its other functions are NULL. So "is this thread attached?" needs no test for "is there a Python?". A caller calls
// `current` or find() before any other function of the table.
extern std::atomic<const table *> published;
extern const table no_python_table;

inline const table &python() noexcept {
    // Acquire pairs with the release in adopt(): a thread that reads the pointer sees the complete table.
    return *published.load(std::memory_order_acquire);
}
inline bool is_found() noexcept { return published.load(std::memory_order_acquire) != &no_python_table; }

} // namespace cpython
} // namespace pyattach
