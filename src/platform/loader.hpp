// The dynamic linker. It runs constructors of what it loads under a lock of its own, so no lock of this library is held
// over any of these (invariant 9).
#pragma once

#include <climits>
#include <cstddef>
#include <cstdint>

namespace pyattach::loader {

// A handle for all that is in the global scope; never closed.
extern void *const global_scope;

// NULL: there is no such symbol.
void *symbol(void *handle, const char *name) noexcept;
// A library that is loaded already. NULL: it is not. To be closed.
void *open_loaded(const char *path) noexcept;
// Loads a library out of the global scope. NULL: it cannot be loaded, and last_error says why. To be closed.
void *open_private(const char *name) noexcept;
void close(void *handle) noexcept;
// Of this thread's last call that failed; NULL: not known.
const char *last_error() noexcept;

// Calls `visit` with the path of each library that is loaded, those in no global scope included.
void for_each_library(void (*visit)(const char *path, void *argument) noexcept, void *argument) noexcept;
// The program has no dynamic linker of its own.
bool is_static_program() noexcept;

// Keeps the library that holds `address` loaded for good, and puts its symbols into the global scope if asked. False:
// it cannot be opened, and last_error says why.
bool pin(const void *address, bool makes_global) noexcept;
// The file that holds `address`; "" if that cannot be told.
void path_of(const void *address, char (&path)[PATH_MAX]) noexcept;

// The thread-locals of the library that holds `code`, in the calling thread.
struct thread_locals {
    size_t module; // as __tls_get_addr takes it; 0: the library has none
    uintptr_t begin,
        end; // both 0: not known; the library's code may reach them without the linker noting where they are
};
// False: no library holds that code.
bool find_thread_locals(const void *code, thread_locals &found) noexcept;

} // namespace pyattach::loader
