// Diagnostics: misuse and the message handler.
#include "base/diagnostics.hpp"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "base/internal_lock.hpp"
#include "platform/kept_errno.hpp"

namespace pyattach {
namespace {

// The lock keeps the function and its argument together, which two atomics could not.
internal_lock handler_lock;
message_handler handler;
void *handler_arg;
std::atomic<void (*)() noexcept> misuse_hook{nullptr};
uint32_t handler_number; // the number of the current handler; each handler that is set gets the next number

} // namespace

void misuse(const char *what, const char *rule, const char *instead) noexcept {
    std::fprintf(stderr, "libpyattach: misuse: %s %s %s\n", what, rule, instead);
    std::fflush(stderr);
    using hook_function = void (*)() noexcept;
    const hook_function hook = misuse_hook.exchange(nullptr, std::memory_order_acquire);
    if (hook)
        hook();
    std::abort();
}

void set_misuse_hook(void (*hook)() noexcept) noexcept { misuse_hook.store(hook, std::memory_order_release); }

void set_message_handler(message_handler new_handler, void *arg) noexcept {
    handler_lock.lock();
    handler = new_handler;
    handler_arg = arg;
    ++handler_number;
    handler_lock.unlock();
}

namespace {

// The current handler, if this site has not called it yet.
struct uncalled_handler {
    message_handler call = nullptr;
    void *arg = nullptr;

    explicit uncalled_handler(refusal_site &site) noexcept {
        handler_lock.lock();
        message_handler current = handler;
        arg = handler_arg;
        const uint32_t number = handler_number;
        handler_lock.unlock();
        // Relaxed: the number decides only whether this thread calls the handler.
        if (current && site.last_handler.exchange(number, std::memory_order_relaxed) != number)
            call = current;
    }
};

} // namespace

pyattach_status refused(pyattach_status why, refusal_site &site, const char *sentence) noexcept {
    const uncalled_handler uncalled(site);
    if (uncalled.call) {
        const kept_errno kept;
        uncalled.call(sentence, uncalled.arg); // never unwound: a handler does not call Python
    }
    return why;
}

pyattach_status refused_with(pyattach_status why, refusal_site &site, const char *format, ...) noexcept {
    const uncalled_handler uncalled(site);
    if (uncalled.call) {
        const kept_errno kept;
        char sentence[1024];
        va_list arguments;
        va_start(arguments, format);
        std::vsnprintf(sentence, sizeof sentence, format, arguments);
        va_end(arguments);
        uncalled.call(sentence, uncalled.arg); // never unwound: a handler does not call Python
    }
    return why;
}

void hold_message_handler() noexcept { handler_lock.hold(); }
void release_hold_on_message_handler() noexcept { handler_lock.release_hold(); }
void restart_message_handler() noexcept {
    if (!handler_lock.restart())
        return;
    handler = nullptr; // `handler_arg` may belong to another handler
    ++handler_number;
}

namespace {

struct current_handler {
    message_handler call;
    void *arg;

    current_handler() noexcept {
        handler_lock.lock();
        call = handler;
        arg = handler_arg;
        handler_lock.unlock();
    }
};

} // namespace

void report_whole(const char *text) noexcept {
    const kept_errno kept;
    if (const current_handler current; current.call)
        current.call(text, current.arg); // never unwound: a handler does not call Python
}

void report(const char *format, ...) noexcept {
    const current_handler current;
    if (!current.call)
        return;
    const kept_errno kept;
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    current.call(text, current.arg); // never unwound: a handler does not call Python
}

} // namespace pyattach
