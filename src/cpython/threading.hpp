// The module `threading`: importing it without claiming the main thread, and its dict of threads.
//
// `threading._active` maps thread idents to thread objects. Where a native thread calls current_thread(), Python makes
// a dummy thread (threading._DummyThread) and stores it there, and up to 3.12 it stays there after the thread has
// ended. The system gives the ident of an ended thread to a new thread. Each function needs an attached thread.
#pragma once

#include "cpython/guarded.hpp"

namespace pyattach::cpython {

// Imports `threading`. Up to 3.12 it takes its first importer for the main thread, and finalization waits for that
// thread's tstate. So a thread that is not the interpreter's main thread starts a helper thread, which imports it and
// ends; `on_helper_start` is called there first. False: it cannot be imported; leaves an exception or none. Inside
// `guarded`; runs Python code.
bool import_threading(interp_state *interp, void (*on_helper_start)() noexcept);

// A new reference to `threading._active`; NULL: not found. (The caller keeps it, since finding it by its name takes
// longer than all the rest of a first attach.)
object *threading_active() noexcept;
// Whether `threading` has made a thread of this ident that has not ended. True also where that cannot be found out.
bool has_thread(object *threading_active, unsigned long ident) noexcept;
// Whether the dict holds more than the main thread. Then it may hold the dummy thread of an ended thread that had the
// calling thread's ident.
inline bool has_several(object *threading_active) noexcept {
    return guarded([threading_active] { return python().dict_size(threading_active) > 1; });
}
// Sets threading.current_thread().name of the calling thread, if `threading` is imported already. An exception is
// reported as unraisable. Runs Python code.
void name_current_thread(const char *name) noexcept;
// Removes the dummy thread that has the calling thread's ident, if there is one.
void forget_same_ident(object *threading_active) noexcept;

} // namespace pyattach::cpython
