// Deadlines for waits.
#pragma once

#include "platform/clock.hpp"

namespace pyattach {

// A time limit of one second that starts at the first call of left_ns(). For waits for another thread that may be
// waiting for the calling thread.
class lazy_deadline {
  public:
    int64_t left_ns() noexcept {
        const int64_t now_ns = monotonic_ns();
        if (until_ == 0)
            until_ = now_ns + 1000000000;
        return until_ - now_ns;
    }

  private:
    int64_t until_ = 0;
};

} // namespace pyattach
