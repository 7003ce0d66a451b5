// The fence between "I write mine" and "I look at yours", where one side does that millions of times and the other
// seldom: the seldom one pays for both with membarrier(2), which makes every running thread of the process pass a
// fence.
#pragma once

#include <atomic>

namespace pyattach {

// The kernel offers membarrier; set before the first gate is used, never changed.
extern bool fences_are_asymmetric;

// Once per process, before that.
void prepare_fences() noexcept;

inline void light_fence(bool is_asymmetric) noexcept {
    if (__builtin_expect(is_asymmetric, 1))
        std::atomic_signal_fence(std::memory_order_seq_cst);
    else
        std::atomic_thread_fence(std::memory_order_seq_cst);
}
void heavy_fence() noexcept;
// Whether that is a matter of microseconds. The first to ask may wait for the kernel, milliseconds if there are several
// threads.
bool has_fast_heavy_fence() noexcept;

#ifdef PYATTACH_TEST_PAUSE // a test's own
void pause_between() noexcept;
#else
inline void pause_between() noexcept {}
#endif

} // namespace pyattach
