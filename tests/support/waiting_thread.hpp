// A thread that waits for the GIL.
#pragma once

#include <atomic>

#include "support/scopes.hpp"
#include "support/threads.hpp"

namespace support {

// Constructed attached. It has asked for the GIL when the constructor returns, and gets it once this thread detaches.
// Without a GIL it is let in at once.
class waiting_thread {
  public:
    waiting_thread() {
        has_begun_.wait();
        if (!is_free_threaded())
            thread_.wait_until_asleep();
    }
    bool got_in() const { return got_in_; }
    void join() { thread_.join(); } // detached, or it waits in vain

  private:
    latch has_begun_{"the waiting thread to begin"};
    std::atomic<bool> got_in_{false};
    task thread_{"the waiting thread to be let in", [this] {
                     has_begun_.count_down();
                     attached here;
                     got_in_ = true;
                     EXPECT(eval_int("6 * 7") == 42);
                 }};
};

} // namespace support
