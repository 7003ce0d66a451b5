// Which sanitizer the tests are built with, for the few that measure what a sanitizer changes.
#pragma once

#include "support/python.hpp"

#ifndef __has_feature // GCC defines macros instead, up to version 13
#define __has_feature(name) 0
#endif

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

} // namespace support
