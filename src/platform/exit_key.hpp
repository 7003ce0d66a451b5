// Exit key: has a function called when a thread ends.
#pragma once

#include <climits>
#include <pthread.h>

namespace pyattach {

// How often the system calls the destructors of a thread's data at its end, as long as some is left.
constexpr int thread_exit_rounds = PTHREAD_DESTRUCTOR_ITERATIONS;

// A key of POSIX's, not a C++ thread_local: the system takes keys in the order in which they were made, so that the
// function of a key that is made later runs later.
class exit_key {
  public:
    // False: there are no more keys. Under a lock of the caller's.
    bool make(void (*on_exit)(void *value) noexcept) noexcept {
        return is_made_ = is_made_ || pthread_key_create(&key_, on_exit) == 0;
    }
    // For this thread. False: no memory. The function is called with `value` unless that is NULL.
    bool set(void *value) noexcept { return pthread_setspecific(key_, value) == 0; }

  private:
    pthread_key_t key_{};
    bool is_made_ = false;
};

} // namespace pyattach
