// Diagnostics: misuse aborts with a message on stderr, and the message handler receives what no status can carry. The
// library prints nothing else.
#pragma once

#include <atomic>
#include <cstdint>

#include "pyattach/base.h"

namespace pyattach {

// Prints three sentences and aborts: what happened, which rule was broken, what to do instead.
[[noreturn]] void misuse(const char *what, const char *rule, const char *instead) noexcept;
// `hook` is called after the sentences have been printed, before the abort. A misuse inside it aborts at once.
void set_misuse_hook(void (*hook)() noexcept) noexcept;

using message_handler = void (*)(const char *message, void *arg);
void set_message_handler(message_handler handler, void *arg) noexcept;

// Formats as printf does, and calls the handler with the text, if there is a handler. The caller holds no lock. Keeps
// errno.
__attribute__((format(printf, 1, 2))) void report(const char *format, ...) noexcept;

// The same with a text that is complete, and may be longer than the kilobyte that report() formats.
void report_whole(const char *text) noexcept;

// A place in the library that refuses calls. It calls each message handler once, because a thread that polls until a
// Python is there must not fill a log. Constant-initialized: declare it as `static refusal_site` in the function that
// refuses.
struct refusal_site {
    std::atomic<uint32_t> last_handler{0}; // the number of the handler that this site has called last
};
// Calls the message handler with `sentence` (what happened, which rule, what to do instead), unless this site has
// called that handler before. Returns `why`. The caller holds no lock. Keeps errno.
pyattach_status refused(pyattach_status why, refusal_site &site, const char *sentence) noexcept;

// The same with a sentence that is formatted as printf does, only where the handler is called.
__attribute__((format(printf, 3, 4))) pyattach_status refused_with(pyattach_status why, refusal_site &site,
                                                                   const char *format, ...) noexcept;

// Around fork(), as internal_lock.hpp defines the three.
void hold_message_handler() noexcept;
void release_hold_on_message_handler() noexcept;
// In the child, a handler that another thread was setting is not called.
void restart_message_handler() noexcept;

} // namespace pyattach
