// The dynamic linker. It runs the constructors of a library that it loads under a lock of its own, so no internal lock
// is held over any of these functions (invariant 9).
#pragma once

#include <climits>
#include <cstddef>
#include <cstdint>

namespace pyattach::loader {

// A handle for the whole global scope. It is never closed.
extern void *const global_scope;

// The address of a symbol; NULL: there is no such symbol.
void *symbol(void *handle, const char *name) noexcept;
// A handle for a library that is loaded already; NULL: it is not loaded. The caller closes the handle.
void *open_loaded(const char *path) noexcept;
// Loads a library outside of the global scope. NULL: it cannot be loaded, and last_error() returns the reason. The
// caller closes the handle.
void *open_private(const char *name) noexcept;
void close(void *handle) noexcept;
// The message of this thread's last call that failed; NULL: unknown.
const char *last_error() noexcept;

// Calls `visit` with the path of each loaded library, including those outside of the global scope.
void for_each_library(void (*visit)(const char *path, void *argument) noexcept, void *argument) noexcept;
// Whether the program has been linked without a dynamic linker.
bool is_static_program() noexcept;

// Keeps the library that contains `address` loaded until the process ends, and puts its symbols into the global scope
// if `makes_global` is set. False: the library cannot be opened, and last_error() returns the reason.
bool pin(const void *address, bool makes_global) noexcept;
// The path of the file that contains `address`; "" if it is unknown.
void path_of(const void *address, char (&path)[PATH_MAX]) noexcept;

// The calling thread's copy of one library's thread-locals.
struct thread_locals {
    size_t module; // as __tls_get_addr takes it; 0: the library has none
    // Both 0: unknown, because the library's code can reach the thread-locals without the dynamic linker's recording of
    // their address.
    uintptr_t begin, end;
};
// Finds the thread-locals of the library that contains `code`. False: no library contains it.
bool find_thread_locals(const void *code, thread_locals &found) noexcept;

} // namespace pyattach::loader
