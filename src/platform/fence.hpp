// An asymmetric fence (P1202), for two sides that each store a word of their own and then load the other side's word.
//
// One side does that millions of times, the other seldom. The frequent side's light fence orders the compiler only. The
// seldom side's heavy fence pays for both with membarrier(2), which makes every running thread of the process pass a
// fence. Where the kernel does not offer that, both are full fences.
#pragma once

#include <atomic>

namespace pyattach {

// Whether the kernel offers membarrier. Set before the first gate is used and before the first trace is started, and
// never changed afterwards.
extern bool fences_are_asymmetric;
// The same where neither is certain: false until it is set, and light fences are full ones.
inline bool may_fence_lightly() noexcept { return __atomic_load_n(&fences_are_asymmetric, __ATOMIC_RELAXED); }

// Sets the flag above, if no call has done so. The caller holds a lock that a fork holds.
void prepare_fences() noexcept;

// `is_asymmetric`: the flag above, or `true` where the caller has checked it.
inline void light_fence(bool is_asymmetric) noexcept {
    if (__builtin_expect(is_asymmetric, 1))
        std::atomic_signal_fence(std::memory_order_seq_cst);
    else
        std::atomic_thread_fence(std::memory_order_seq_cst);
}
void heavy_fence() noexcept;
// Whether heavy_fence() takes microseconds only. The first call may wait for the kernel, some milliseconds if the
// process has several threads.
bool has_fast_heavy_fence() noexcept;

#ifdef PYATTACH_TEST_PAUSE // defined by a test
void pause_between() noexcept;
#else
inline void pause_between() noexcept {}
#endif

} // namespace pyattach
