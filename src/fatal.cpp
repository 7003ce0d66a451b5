// Say what was misused and abort; tell the message handler what no status can carry.
#include "fatal.hpp"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <pthread.h>

namespace pyattach {
namespace {

// Function and argument belong together, so two atomics would not do.
pthread_mutex_t handler_lock = PTHREAD_MUTEX_INITIALIZER;
message_handler handler;
void *handler_arg;
uint32_t handler_number; // of the one in force; a handler that is set gets the next one

} // namespace

void misuse(const char *what, const char *rule, const char *instead) noexcept {
    std::fprintf(stderr, "libpyattach: misuse: %s %s %s\n", what, rule, instead);
    std::fflush(stderr);
    std::abort();
}

void set_message_handler(message_handler new_handler, void *arg) noexcept {
    pthread_mutex_lock(&handler_lock);
    handler = new_handler;
    handler_arg = arg;
    ++handler_number;
    pthread_mutex_unlock(&handler_lock);
}

pyattach_status refused(pyattach_status why, refusal_site &site, const char *sentence) noexcept {
    pthread_mutex_lock(&handler_lock);
    message_handler call = handler;
    void *arg = handler_arg;
    const uint32_t number = handler_number;
    pthread_mutex_unlock(&handler_lock);
    // Relaxed: the number decides nothing but whether this thread tells it.
    if (call && site.told_handler.exchange(number, std::memory_order_relaxed) != number) {
        const int kept = errno;
        call(sentence, arg); // never unwound: a handler does not call Python
        errno = kept;
    }
    return why;
}

void hold_message_handler() noexcept { pthread_mutex_lock(&handler_lock); }
void let_message_handler_go() noexcept { pthread_mutex_unlock(&handler_lock); }

void report(const char *format, ...) noexcept {
    pthread_mutex_lock(&handler_lock);
    message_handler call = handler;
    void *arg = handler_arg;
    pthread_mutex_unlock(&handler_lock);
    if (!call)
        return;
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    call(text, arg); // never unwound: a handler does not call Python
}

} // namespace pyattach
