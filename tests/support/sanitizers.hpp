// Which sanitizer the tests are built with, for the few that measure what a sanitizer changes.
#pragma once

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

// The one keeps freed memory for a while, the other the history of all memory: resident pages say nothing then. The
// first looks for leaks instead.
constexpr bool is_memory_telling = !is_address_sanitized && !is_thread_sanitized;

} // namespace support
