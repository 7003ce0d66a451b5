// Uncancelled: pthread_cancel takes effect after what runs here, not inside it.
//
// A wait of the C library's is where a cancelled thread ends. Ended there, it would leave a lock taken or a waiter
// queued on its dead stack, and its unwinding would end the process at the first function that is noexcept.
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
