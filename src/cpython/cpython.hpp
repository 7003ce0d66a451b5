// CPython, found at run time. With its cpython_*.cpp neighbours the only place that knows a version or a symbol of
// CPython; everyone else asks for a capability or calls through the table.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cxxabi.h>

#include "pyattach/base.h"

struct pyattach_python;
struct pyattach_start_options;

namespace pyattach {

using object = struct ::_object;

namespace cpython {

struct thread_state; // PyThreadState, looked into where `layout` says so alone
struct interp_state; // PyInterpreterState, never looked into

// PyStatus, the one CPython struct that is returned by value; its fields never changed since 3.8.
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

    // Capabilities of the Python found.
    // `current` and the gilstate_tstate speak of this thread. Up to 3.11 `current` is the state of whoever holds the
    // GIL in the process.
    bool current_is_own;
    bool attaching_binds_gilstate;        // from 3.12 attaching a state puts it into the gilstate_tstate
    bool gilstate_outlives_python;        // from 3.15 the gilstate_tstate keeps the state of a life that ended
    bool importing_threading_claims_main; // up to 3.12 `threading` takes its first importer for the main thread
    bool delete_empties_gilstate; // from 3.12 deleting any state empties the gilstate_tstate of the thread that deletes
    bool sub_interpreters_keep_tstates; // from 3.14 an ending sub-interpreter tolerates left-over thread states
    bool end_frees_tstates;             // up to 3.13 the end frees the states of others, who may be coming back to them
    // Up to 3.13.7 CPython ends a thread that it refuses at the end, with pthread_exit; from 3.13.8 it hangs the
    // thread. Only the reattach_guard asks: `guarded` is around every such call on every version.
    bool ends_refused_threads;
    bool reaps_foreign_tstates;   // false on debug builds: their assertions forbid deleting another thread's state
    bool fork_copies_tstate_lock; // up to 3.11; see new_tstate
    bool sections_lock;           // free-threaded: critical sections are more than a no-op
    bool has_mutex;               // PyMutex is there, with the two bits we know
    bool free_threaded, debug;
    unsigned version_hex;
    const char *path;
    void (*restore_plainly)(thread_state *); // free-threaded: PyEval_RestoreThread, as `restore` keeps errno besides
    const char *runtime;                     // _PyRuntime; NULL: not exported
    void *(*thread_local_at)(const size_t *) noexcept; // __tls_get_addr; NULL: not exported
};

// The table in use. Before a Python is found it is one in which `current` looks for it first and everything else is
// NULL, so that the question "am I attached?" needs no test of its own. Ask that question before taking the table for
// anything else.
extern std::atomic<const table *> published;
extern const table absent;

inline const table &python() noexcept {
    // Acquire pairs with the release in adopt(): a thread that sees the table sees all that is in it.
    return *published.load(std::memory_order_acquire);
}

// OK once a Python is found; looks for one as long as there is none. Any number of threads may look at once, and all of
// them find the same; no lock is held over the dynamic linker. No Python code runs.
pyattach_status find() noexcept;
pyattach_status load(const char *path) noexcept;
pyattach_status describe(pyattach_python *out) noexcept;
// Puts the symbols of the Python in use into the global scope, where extension modules that do not link libpython look
// for them. Asks the dynamic linker, so no lock may be held.
void make_global() noexcept;
inline bool is_found() noexcept { return published.load(std::memory_order_acquire) != &absent; }

// Never returns. A parked thread holds no lock and no guard (PEP 788) of ours, and is not attached.
[[noreturn]] void park() noexcept;

// Every call that may attach or run Python code goes through here (invariant 10). Up to 3.13.7 CPython ends a thread it
// refuses with pthread_exit, which unwinds our frames and the caller's; below a noexcept frame that terminates the
// process, and a destructor that parks is not even run there. Catching it in the innermost frame works everywhere.
//
// So whatever `call` calls must let the unwinding through, up to here. A function of this library that calls CPython
// below `guarded` is not noexcept, and no object with a destructor that calls CPython lives there: it would do so on a
// thread that has no state any more. A kept_error stands around the call of `guarded`, where the unwinding never comes.
// tools/unwinding.py (a part of tools/lint) checks both. `before_parking` runs on the thread without a state.
//
// GCC binds the reference to NULL, there being no object, and its sanitizer reports that; the check goes with that of
// the alignment, so both are left out, in this frame alone.
template <class Call, class Farewell> __attribute__((always_inline, no_sanitize("null", "alignment"))) inline auto
guarded(Call &&call, Farewell &&before_parking) noexcept -> decltype(call()) {
    static_assert(noexcept(before_parking()), "there is no thread state left to call CPython with");
#ifdef __GLIBCXX__
    try {
        return call();
    } catch (abi::__forced_unwind &) {
        before_parking();
        park();
    }
#else
    return call();
#endif
}
template <class Call> __attribute__((always_inline)) inline auto guarded(Call &&call) noexcept -> decltype(call()) {
    return guarded(call, []() noexcept {});
}

// With the table at hand, where every instruction counts.
inline void restore(const table &py, thread_state *tstate) noexcept {
    guarded([&py, tstate] { py.restore(tstate); });
}
inline void restore(thread_state *tstate) noexcept { restore(python(), tstate); }
// The same on a thread that is attached with `replaced`, if that is not NULL.
inline void restore_over(thread_state *replaced, thread_state *tstate) noexcept {
    if (replaced)
        guarded([tstate] { python().tstate_swap(tstate); });
    else
        restore(tstate);
}
inline thread_state *save(const table &py) noexcept {
    return guarded([&py] { return py.save(); });
}
inline thread_state *save() noexcept { return save(python()); }
// NULL is nothing. The last reference runs destructors.
inline void decref(object *obj) noexcept {
    guarded([obj] { python().decref(obj); });
}
// False: the queue is full.
inline bool add_pending_call(int (*call)(void *), void *argument) noexcept {
    return guarded([=] { return python().add_pending_call(call, argument) == 0; });
}

// Keeps `value` in the dict of the current state; `cleared` is called with it when somebody clears that state, on their
// thread. False: memory is short, and `cleared` has been called. May collect garbage; keeps the pending exception.
bool keep_in_tstate(void *value, void (*cleared)(void *value) noexcept) noexcept;

// Attached or not. NULL: no memory. Up to 3.11 a child inherits CPython's lock on all thread states as the fork finds
// it, and waits for it before anything else: so a fork waits for whoever is in here. 100 ms at most, because this is
// the one call of CPython's under a lock of ours, and with tracemalloc on it waits for the GIL. Where os.fork() says
// beforehand that it comes, that is begin_stop's task.
thread_state *new_tstate(interp_state *of) noexcept;
// Destroys the current state, which leaves the thread detached. Runs Python code.
void destroy_current(thread_state *tstate) noexcept;
// The same, from 3.12, for a state that was swapped in over `previous`, which is current afterwards.
void destroy_swapped(thread_state *tstate, thread_state *previous) noexcept;

// Free-threaded: each state has free lists of its own, and those of the current one are emptied whenever any is cleared
// (PyThreadState_Clear). So one that nobody used, which is destroyed with this, empties those of another, which nobody
// uses any more; else they leak, 22 KiB with 3.13, or wait for a collection. Attached; no Python code runs.
void empty_free_lists(thread_state *of, thread_state *unused) noexcept;

// The pending exception, taken out for as long as the object lives. Needs an attached thread; never inside `guarded`.
class kept_error {
  public:
    kept_error() noexcept { python().error_fetch(&type_, &value_, &traceback_); }
    ~kept_error() noexcept {
        guarded([this] { python().error_restore(type_, value_, traceback_); });
    }
    kept_error(const kept_error &) = delete;
    kept_error &operator=(const kept_error &) = delete;

  private:
    object *type_ = nullptr, *value_ = nullptr, *traceback_ = nullptr;
};

// A word of CPython's that this thread, or whoever holds the GIL, writes.
template <class Word> Word peek(Word const *where) noexcept { return __atomic_load_n(where, __ATOMIC_RELAXED); }

// How references are counted, in the word at the head of every object.
enum class counting : unsigned {
    by_call,
    in_64_bits,
    in_32_bits, // of two words the lower; negative: immortal
};

// Where CPython keeps the answers to the questions asked most often: a look there instead of a call, which costs as
// much as everything else that this library does in an attach. The exception's place in a thread state does not move
// within a minor version: thread states are laid open in CPython's headers, and modules made by Cython look there too.
// The current state is a thread-local of CPython's from 3.12, found by looking for it, and a global before. Nothing is
// believed until trust_layout has seen CPython give both answers there.
struct layout {
    std::atomic<unsigned> exception_at; // in a thread state: the pending exception, or its type; 0: nothing is trusted
    std::atomic<thread_state *const *> shared; // the global; NULL: a thread-local
    std::atomic<size_t> module, offset;        // of the thread-local, as __tls_get_addr takes them
    std::atomic<cpython::counting> counting;   // how references are counted, at the head of every object
};
extern layout trusted;
inline bool is_layout_trusted() noexcept { return trusted.exception_at.load(std::memory_order_acquire) != 0; }

// Where this thread's current state is kept; up to 3.11 that of whoever holds the GIL. If that is not known, `unknown`,
// which says NULL.
extern thread_state *const unknown;
thread_state *const *current_at() noexcept;
// Where the layout is trusted: does this thread state hold an exception?
inline bool has_exception(const thread_state *attached) noexcept {
    auto *at = reinterpret_cast<const char *>(attached) + trusted.exception_at.load(std::memory_order_relaxed);
    return peek(reinterpret_cast<const object *const *>(at)) != nullptr;
}
inline int32_t *short_count(object *obj) noexcept {
    return reinterpret_cast<int32_t *>(obj) + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}
// Attached: gives a reference back that is not the last, or is to an immortal object. False: nothing is done; ask
// Py_DecRef. Extension modules of the stable ABI have this compiled in, so an object's head is as it is.
inline bool decref_fast(counting how, object *obj) noexcept {
    if (how == counting::in_32_bits) {
        int32_t *count = short_count(obj);
        const int32_t now = peek(count);
        if (now > 1)
            __atomic_store_n(count, now - 1, __ATOMIC_RELAXED);
        return now > 1 || now < 0;
    }
    auto *count = reinterpret_cast<int64_t *>(obj);
    const int64_t now_ns = how == counting::in_64_bits ? peek(count) : 0;
    if (now_ns > 1)
        __atomic_store_n(count, now_ns - 1, __ATOMIC_RELAXED);
    return now_ns > 1;
}
// Attached: compares what is known about this version with what its functions say.
void trust_layout() noexcept;

// A borrowed module that has been imported already, else NULL, as also from a certain point of an interpreter's end on.
// Attached; inside `guarded`.
object *loaded_module(const char *name);
// Whether an attribute is there and true; a missing one is false. Attached; inside `guarded`; runs Python code; leaves
// no exception.
bool has_true(object *of, const char *name);

// --- The exit hook (attached; each may run Python code, each keeps the pending exception) ---

// The record kept in the current interpreter's own dict by an earlier attach_record, else NULL. Runs no Python code.
void *attached_record(interp_state *interpreter) noexcept;
// Keeps `record` there, once; `gone` is called with it when the interpreter is cleared.
bool attach_record(interp_state *interpreter, void *record, void (*is_cleared)(void *record) noexcept) noexcept;
enum class hook { registered, too_late, failed };
// Called by Python, attached.
struct callbacks {
    void (*closing)(void *record) noexcept; // by the interpreter's atexit
    void (*expects_end)() noexcept;         // CPython will call the next one: when the main interpreter was registered
    void (*ended)() noexcept;               // when no interpreter is left; not attached
    // Around os.fork(), before CPython stops the other threads.
    void (*fork_begins)() noexcept;
    void (*fork_ended)() noexcept; // in the parent
    void (*forked)() noexcept;     // by the child, once Python itself is in order there
    void (*helps)() noexcept;      // on a thread made for the registration, before it runs Python code
};
hook register_exit_hook(interp_state *interpreter, const callbacks &wanted) noexcept;
// Several copies of this library may end with one interpreter, one after the other: when the first of them that timed
// out began to wait, on the monotonic clock; 0: none did. Attached.
int64_t timed_out_since(interp_state *interpreter) noexcept;
void note_time_out(interp_state *interpreter, int64_t since) noexcept;
// Whether `site` has been imported, that is, whether initialisation went as far as running user code.
bool is_usable() noexcept;
// `threading` knows threads by an ident that the system gives again, in a dict, of which this is a new reference;
// NULL: not found. (It is kept, since asking for it by its name takes longer than all the rest of a first attach.)
// Whether it holds more than the main thread; then it may hold the dummy thread made for an ended thread that had this
// one's ident, which the last one forgets.
object *threading_active() noexcept;
// Whether `threading` has made a thread of this ident that has not ended; true also where that cannot be found out.
bool has_thread(object *threading_active, unsigned long ident) noexcept;
inline bool has_several(object *threading_active) noexcept {
    return guarded([threading_active] { return python().dict_size(threading_active) > 1; });
}
void forget_same_ident(object *threading_active) noexcept;
// Reports the pending exception through sys.unraisablehook.
void report_unraisable() noexcept;
// Ctrl-C and its like: false if a handler raised; the exception is reported as unraisable.
bool check_signals_quietly() noexcept;
void warn(const char *message) noexcept;

// --- Start (not attached; at most one thread at a time) ---
bool start(const pyattach_start_options *options) noexcept;

// PEP 788: keeps the main interpreter from ending while held. `refused` is set if it is ending already.
void *guard_main(bool *refused) noexcept;
void release_guard(void *guard) noexcept;
// Of this thread, which is to be parked. Attached or not.
void release_own_guards() noexcept;
// In a fork child: other threads' guards would make it wait for ever at its end. Attached.
void release_lost_guards() noexcept;

} // namespace cpython
} // namespace pyattach
