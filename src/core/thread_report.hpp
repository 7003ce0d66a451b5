// Thread report: what each thread does, as lines of text.
#pragma once

#include <cstddef>

namespace pyattach {

// Calls `put` with each line in turn, which ends with a newline, while no lock of a list is held. Async-signal-safe, if
// `put` is.
void report_threads(void (*put)(const char *line, size_t length, void *arg) noexcept, void *arg) noexcept;

// See threads.h.
void report_threads_to(int descriptor) noexcept;
// The message handler gets `sentence` and below it the report, as far as it fits into a message. Attached or not.
void report_threads_to_handler(const char *sentence) noexcept;

// In a fork child: a thread that was reporting is not there.
void restart_thread_report() noexcept;

} // namespace pyattach
