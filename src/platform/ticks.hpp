// Ticks: a clock that is read in a few nanoseconds, for what is recorded many times a second. A tick is as long as the
// processor's counter makes it, so who reads recorded ticks compares two moments with the monotonic clock first.
#pragma once

#include <cstdint>

#include "platform/clock.hpp"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace pyattach {

// Whether the processor's counter serves: it counts at one rate, in every sleep state, and the kernel uses it, too.
// Else a tick is a nanosecond of the monotonic clock. Set by prepare_ticks, before any ticks are recorded.
extern bool ticks_are_counted;
// Sets the flag above. The first call decides. The caller holds a lock over this call.
void prepare_ticks() noexcept;

inline uint64_t ticks() noexcept {
#if defined(__x86_64__)
    if (__builtin_expect(ticks_are_counted, 1))
        return __rdtsc();
#elif defined(__aarch64__)
    if (__builtin_expect(ticks_are_counted, 1)) {
        uint64_t counter;
        __asm__ volatile("mrs %0, cntvct_el0" : "=r"(counter));
        return counter;
    }
#endif
    return static_cast<uint64_t>(monotonic_ns());
}

// One moment on both clocks.
struct tick_moment {
    uint64_t ticks;
    int64_t ns;
};
tick_moment tick_moment_now() noexcept;

} // namespace pyattach
