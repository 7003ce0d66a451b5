// Say what was misused and abort; tell the message handler what no status can carry. The library prints nothing else.
#pragma once

namespace pyattach {

// Three sentences: what happened, the rule it broke, what to do instead.
[[noreturn]] void misuse(const char *what, const char *rule, const char *instead) noexcept;

using message_handler = void (*)(const char *message, void *arg);
void set_message_handler(message_handler handler, void *arg) noexcept;

// Formats as printf and hands the text to the handler, if there is one. Called with no lock held.
__attribute__((format(printf, 1, 2))) void report(const char *format, ...) noexcept;

// Around fork().
void hold_message_handler() noexcept;
void let_message_handler_go() noexcept;

} // namespace pyattach
