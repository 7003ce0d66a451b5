// Which sanitizer the tests are built with, for the few that measure what a sanitizer changes.
#pragma once

#include <dlfcn.h>
#include <string>

#include "support/python.hpp"

#ifndef __has_feature // GCC defines macros instead, up to version 13
#define __has_feature(name) 0
#endif

// Of the address sanitizer, where it is there.
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

// The allocator of a free-threaded libpython runs in the very last round of destructors of the thread that opened it,
// where the thread sanitizer is gone already. So under it that is to be a thread that stays.
inline void open_libpython_on_a_thread_that_stays() {
    if (is_thread_sanitized)
        cpython_symbol("Py_GetVersion");
}

// The one keeps freed memory for a while, the other the history of all memory: resident pages say nothing then. The
// first looks for leaks instead.
constexpr bool is_memory_telling = !is_address_sanitized && !is_thread_sanitized;

// The library leaks this object, or may, as its contract says: the leak sanitizer is to look for others.
inline void may_leak(const object *leaked) {
    if (__lsan_ignore_object)
        __lsan_ignore_object(leaked);
}

// While it lives the calling thread may put what it allocates where the leak sanitizer does not look.
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

// What an unmodified program must load first, if it is to load a library with a sanitizer: GCC's is a library itself.
inline std::string library_to_preload() {
    Dl_info about;
    return __asan_init && dladdr(reinterpret_cast<void *>(__asan_init), &about) ? about.dli_fname : "";
}

} // namespace support
