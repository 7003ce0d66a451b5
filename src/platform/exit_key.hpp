// Exit key: registers a function that the system calls when a thread ends.
#pragma once

#include <climits>
#include <pthread.h>

namespace pyattach {

// The number of rounds in which the system calls the destructors of an ending thread's data, while any data is left.
constexpr int thread_exit_rounds = PTHREAD_DESTRUCTOR_ITERATIONS;

// A POSIX key, not a C++ thread_local: the system processes keys in the order in which they were made, so the function
// of a key that is made later runs later.
class exit_key {
  public:
    // Makes the key at the first call. False: the system has no more keys. The caller holds a lock over this call.
    bool make(void (*on_exit)(void *value) noexcept) noexcept {
        return is_made_ = is_made_ || pthread_key_create(&key_, on_exit) == 0;
    }
    // Sets the calling thread's value. The function is called with it at the thread's end, unless it is NULL. False: no
    // memory.
    bool set(void *value) noexcept { return pthread_setspecific(key_, value) == 0; }

  private:
    pthread_key_t key_{};
    bool is_made_ = false;
};

} // namespace pyattach
