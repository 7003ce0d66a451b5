// The sanitizer that the tests are built with, for the few tests whose measurements a sanitizer changes.
#pragma once

#include <dlfcn.h>
#include <string>

#include "support/python.hpp"

#ifndef __has_feature // GCC defines macros instead, up to version 13
#define __has_feature(name) 0
#endif

// Functions of the address sanitizer, null without it.
extern "C" {
__attribute__((weak)) void __asan_init();
__attribute__((weak)) void __lsan_ignore_object(const void *);
__attribute__((weak)) void __lsan_disable();
__attribute__((weak)) void __lsan_enable();
}

namespace support {

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
constexpr bool is_address_sanitized = true;
#else
constexpr bool is_address_sanitized = false;
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
constexpr bool is_thread_sanitized = true;
#else
constexpr bool is_thread_sanitized = false;
#endif

// The allocator of a free-threaded libpython runs in the last round of TLS destructors of the thread that opened it.
// The thread sanitizer's data has been destroyed by then, so under it a thread that never ends opens libpython.
inline void open_libpython_on_a_thread_that_stays() {
    if (is_thread_sanitized)
        cpython_symbol("Py_GetVersion");
}

// The address sanitizer delays frees, and the thread sanitizer keeps the history of all memory, so resident pages
// measure nothing then. The address sanitizer finds leaks instead.
constexpr bool is_memory_telling = !is_address_sanitized && !is_thread_sanitized;

// Excludes an object from leak detection that the library may leak by contract.
inline void may_leak(const object *leaked) {
    if (__lsan_ignore_object)
        __lsan_ignore_object(leaked);
}

// During its lifetime the leak sanitizer ignores what the calling thread allocates.
class unseen_allocations {
  public:
    unseen_allocations() {
        if (__lsan_disable)
            __lsan_disable();
    }
    ~unseen_allocations() {
        if (__lsan_enable)
            __lsan_enable();
    }
    unseen_allocations(const unseen_allocations &) = delete;
    unseen_allocations &operator=(const unseen_allocations &) = delete;
};

// What an unmodified program must preload to load a sanitized library: the runtime of GCC's sanitizer.
inline std::string library_to_preload() {
    Dl_info about;
    return __asan_init && dladdr(reinterpret_cast<void *>(__asan_init), &about) ? about.dli_fname : "";
}

} // namespace support
