// Say what was misused and abort; tell the message handler what no status can carry. The library prints nothing else.
#pragma once

#include <atomic>
#include <cstdint>

#include "pyattach/base.h"

namespace pyattach {

// Three sentences: what happened, the rule it broke, what to do instead.
[[noreturn]] void misuse(const char *what, const char *rule, const char *instead) noexcept;

using message_handler = void (*)(const char *message, void *arg);
void set_message_handler(message_handler handler, void *arg) noexcept;

// Formats as printf and hands the text to the handler, if there is one. Called with no lock held.
__attribute__((format(printf, 1, 2))) void report(const char *format, ...) noexcept;

// A place that refuses calls explains itself once to each message handler: a thread that polls until Python is there
// must not fill a log. Constant-initialised: `static refusal_site here;` in the function that refuses.
struct refusal_site {
    std::atomic<uint32_t> told_handler{0}; // the number of the handler that was told last
};
// Tells the message handler `sentence` (what happened, which rule, what to do instead) unless it was told by this site
// before; returns `why`. Called with no lock held. Keeps errno.
pyattach_status refused(pyattach_status why, refusal_site &site, const char *sentence) noexcept;

// The same of a sentence that is formatted as by printf, only if the handler is to be told.
__attribute__((format(printf, 3, 4))) pyattach_status refused_with(pyattach_status why, refusal_site &site,
                                                                   const char *format, ...) noexcept;

// Around fork().
void hold_message_handler() noexcept;
void let_message_handler_go() noexcept;
// In the child. A handler that another thread was about to set is not called there.
void restart_message_handler() noexcept;

} // namespace pyattach
