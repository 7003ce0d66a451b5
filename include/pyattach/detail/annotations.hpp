/* Annotations: attributes that only some compilers know. They change no code. */
#ifndef PYATTACH_DETAIL_ANNOTATIONS_HPP
#define PYATTACH_DETAIL_ANNOTATIONS_HPP

#include "cpp17.hpp"

/* Clang's thread safety analysis (-Wthread-safety) follows pyattach::mutex and what locks it. */
#if defined(__clang__)
#define PYATTACH_CAPABILITY(name) __attribute__((capability(name)))
#define PYATTACH_SCOPED_CAPABILITY __attribute__((scoped_lockable))
#define PYATTACH_ACQUIRE(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define PYATTACH_TRY_ACQUIRE(...) __attribute__((try_acquire_capability(__VA_ARGS__)))
#define PYATTACH_RELEASE(...) __attribute__((release_capability(__VA_ARGS__)))
/* For functions whose body does what their declaration says by calling a C function. */
#define PYATTACH_NO_ANALYSIS __attribute__((no_thread_safety_analysis))
#else
/* Empty for other compilers. */
#define PYATTACH_CAPABILITY(name)
#define PYATTACH_SCOPED_CAPABILITY
#define PYATTACH_ACQUIRE(...)
#define PYATTACH_TRY_ACQUIRE(...)
#define PYATTACH_RELEASE(...)
#define PYATTACH_NO_ANALYSIS
#endif

/* The result must not outlive what is annotated. */
#if defined(__clang__) && defined(__has_cpp_attribute)
#if __has_cpp_attribute(clang::lifetimebound)
#define PYATTACH_LIFETIME_BOUND [[clang::lifetimebound]]
#endif
#endif
#ifndef PYATTACH_LIFETIME_BOUND
#define PYATTACH_LIFETIME_BOUND
#endif

#endif
