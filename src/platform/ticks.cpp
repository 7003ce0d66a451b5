// Ticks: which clock serves.
#include "platform/ticks.hpp"

#include <cstdio>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "platform/kept_errno.hpp"

namespace pyattach {

bool ticks_are_counted;

namespace {

#if defined(__x86_64__)
// The kernel tests at its start whether the counters of all cores agree, and takes another clock if they do not.
bool does_kernel_trust_counter() noexcept {
    const kept_errno kept;
    char name[32] = "";
    if (std::FILE *file = std::fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re")) {
        if (!std::fgets(name, sizeof name, file))
            name[0] = '\0';
        std::fclose(file);
    }
    return !std::strncmp(name, "tsc", 3) || !std::strncmp(name, "kvm-clock", 9) || !std::strncmp(name, "hyperv", 6);
}

bool can_count() noexcept {
    unsigned a, b, c, d;
    constexpr unsigned invariant = 1u << 8;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & invariant) && does_kernel_trust_counter();
}
#elif defined(__aarch64__)
bool can_count() noexcept { return true; } // the architecture defines one counter for all cores
#else
bool can_count() noexcept { return false; }
#endif

} // namespace

void prepare_ticks() noexcept {
    static bool is_decided;
    if (!is_decided)
        ticks_are_counted = can_count();
    is_decided = true;
}

// The thread may lose its processor between the two reads. So the shortest of a few tries counts.
tick_moment tick_moment_now() noexcept {
    tick_moment best = {};
    uint64_t shortest = UINT64_MAX;
    for (int i = 0; i < 8; ++i) {
        const uint64_t before = ticks();
        const int64_t ns = monotonic_ns();
        const uint64_t after = ticks();
        if (after - before >= shortest)
            continue;
        shortest = after - before;
        best = {before + (after - before) / 2, ns};
    }
    return best;
}

} // namespace pyattach
