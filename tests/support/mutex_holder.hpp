// A thread that holds a mutex.
#pragma once

#include "support/scopes.hpp"
#include "support/threads.hpp"

namespace support {

// Holds the mutex from its constructor to its destructor, on a thread of its own.
template <class Mutex> class holder {
  public:
    explicit holder(Mutex &mutex) : mutex_(mutex) { is_held_.wait(); }
    ~holder() { release(); }
    void release() { may_end_.count_down(); }

  private:
    Mutex &mutex_;
    latch is_held_{"the mutex to be held"}, may_end_{"the holder's permission to end"};
    task thread_{"the holder of a mutex to end", [this] {
                     mutex_.lock();
                     is_held_.count_down();
                     may_end_.wait();
                     mutex_.unlock();
                 }};
};

// A pyattach_mutex with the names of C++.
struct c_mutex {
    pyattach_mutex at = PYATTACH_MUTEX_INIT;
    void lock() { pyattach_mutex_lock(&at); }
    void unlock() { pyattach_mutex_unlock(&at); }
};

} // namespace support
