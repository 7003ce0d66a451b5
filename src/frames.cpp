// Frames: whether one can be read, and where the calling thread's stack is.
#include "frames.hpp"

#include <cerrno>
#include <pthread.h>

#include "seat.hpp"
#include "uncancelled.hpp"

namespace pyattach {

// The sanitizers mark what was given up, and that is what may be read here.
__attribute__((no_sanitize("address"))) bool is_intact(const thread &me, const frame &scope) noexcept {
    if (scope.tag != tag::attached && scope.tag != tag::detached)
        return false;
    if (!scope.is_short)
        return scope.sum == sum_of(scope);
    // The warm path enters from the bottom frame, and notes half of the address of the frame below for a gap.
    const bool is_below = scope.tag == tag::attached ? scope.below == &me.base : scope.sum == short_sum_of(scope.below);
    const seat *mine = me.seats;
    while (mine && mine != scope.seat)
        mine = mine->next_of_thread;
    return is_below && mine && scope.where == mine->where && scope.state == mine->warm;
}

bool is_on_own_stack(const void *storage) noexcept {
#if defined(__linux__)
    const int kept_errno = errno;
    uncancelled here; // on the main thread it reads a file
    pthread_attr_t attributes;
    void *lowest = nullptr;
    size_t size = 0;
    const bool is_known = pthread_getattr_np(pthread_self(), &attributes) == 0;
    if (is_known) {
        pthread_attr_getstack(&attributes, &lowest, &size);
        pthread_attr_destroy(&attributes);
    }
    errno = kept_errno;
    return !is_known || reinterpret_cast<uintptr_t>(storage) - reinterpret_cast<uintptr_t>(lowest) < size;
#else
    (void)storage;
    return true;
#endif
}

} // namespace pyattach
