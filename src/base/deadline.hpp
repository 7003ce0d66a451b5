// Deadlines for waits.
#pragma once

#include "platform/clock.hpp"

namespace pyattach {

// A second, from the first question on: for waits for somebody who may be waiting for this very thread.
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
