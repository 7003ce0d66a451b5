// Uncancelled: a pthread_cancel takes effect after the end of this scope, not inside it.
//
// The waits of the C library are cancellation points. A thread that ended in one would leave a lock locked, or a waiter
// queued on its former stack. Its unwinding would terminate the process at the first noexcept function.
#pragma once

#include <cstdint>
#include <ctime>
#include <pthread.h>

#include "platform/kept_errno.hpp"

namespace pyattach {

class uncancelled {
  public:
    uncancelled() noexcept { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
    ~uncancelled() { pthread_setcancelstate(before_, nullptr); }
    uncancelled(const uncancelled &) = delete;
    uncancelled &operator=(const uncancelled &) = delete;

  private:
    int before_;
};

inline void sleep_uncancelled(int64_t ns) noexcept {
    uncancelled no_cancel;
    const kept_errno kept;
    timespec time = {static_cast<time_t>(ns / 1000000000), static_cast<long>(ns % 1000000000)};
    nanosleep(&time, nullptr);
}

} // namespace pyattach
