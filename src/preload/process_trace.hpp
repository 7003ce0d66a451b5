// Process trace: a trace of the whole process, which is written when the process ends.
#pragma once

#include <cstddef>

#include "pyattach/trace.h"

namespace pyattach::preload::process_trace {

struct plan {
    // In which %p stands for the number of the process that writes. If it is there, each process writes a file, else
    // only the one that has begun the trace, and no fork child of it.
    char path[4096];
    pyattach_trace_format format;
    int signal; // which has it written, too; 0: none
};

// What is asked for, in words. NULL: the end of the path says the format; there is no signal.
struct request {
    const char *path, *format, *signal;
};
// Makes the path a full one. False: that cannot be done, and `sentence` says why. Writes nothing.
bool make_plan(const request &wanted, plan &made, char *sentence, size_t size) noexcept;

// Starts the trace, and writes it in `finish`. `has_python`: Python is in this process, whether or not `follow` has
// found it. False: `sentence` says why not.
bool begin(const plan &planned, bool has_python, char *sentence, size_t size);
// The same, if the variables PYATTACH_RUN_TRACE... ask this process for it.
void begin_as_environment_says();

// When the process ends, as late as possible: writes the trace, if one was begun.
void finish();

} // namespace pyattach::preload::process_trace
