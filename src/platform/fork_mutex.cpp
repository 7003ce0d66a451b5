// Fork mutex: a mutex that a forked child finds free.
#include "platform/fork_mutex.hpp"

#include <pthread.h>

namespace pyattach::fork_mutex {
namespace {

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_once_t handlers_registered = PTHREAD_ONCE_INIT;

// Without memory for the handlers, a child that is forked while another thread holds the mutex waits at its next lock.
void register_handlers() { pthread_atfork([] { pthread_mutex_lock(&mutex); }, [] { pthread_mutex_unlock(&mutex); },
                                          [] { pthread_mutex_unlock(&mutex); }); }

} // namespace

void lock() noexcept {
    pthread_once(&handlers_registered, register_handlers);
    pthread_mutex_lock(&mutex);
}
void unlock() noexcept { pthread_mutex_unlock(&mutex); }

} // namespace pyattach::fork_mutex
