/* Park: the calling thread waits for ever. */
#ifndef PYATTACH_DETAIL_PARK_HPP
#define PYATTACH_DETAIL_PARK_HPP

#include "cpp17.hpp"

#include <pthread.h>
#include <unistd.h>

namespace pyattach {
inline namespace abi1 {
namespace detail {

/* For a thread that can neither continue nor be ended: its interpreter has ended, and the code around the call assumes
 * that the thread is attached. Blocks for ever. */
[[noreturn]] inline void park() noexcept {
    /* A cancellation would unwind through noexcept frames, which terminates the process. */
    int old_state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old_state);
    for (;;)
        pause();
}

} // namespace detail
} // namespace abi1
} // namespace pyattach
#endif
