// Process trace: a trace of the whole process, which is written when the process ends.
#include "preload/process_trace.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "platform/file.hpp"
#include "platform/process.hpp"
#include "platform/signal.hpp"
#include "preload/follow.hpp"
#include "preload/report.hpp"

namespace pyattach::preload::process_trace {
namespace {

constexpr const char *number_sign = "%p";

struct named_format {
    const char *name, *suffix;
    pyattach_trace_format format;
};
constexpr named_format formats[] = {
    {"chrome", ".json", PYATTACH_TRACE_CHROME},
    {"perfetto", ".pftrace", PYATTACH_TRACE_PERFETTO},
    {"perfetto", ".perfetto", PYATTACH_TRACE_PERFETTO},
    {"html", ".html", PYATTACH_TRACE_HTML},
};

// What this process does. Set once, before other threads of the program may end it.
plan current;
bool has_begun, is_python_here;
long process;

// NULL for what is not there, or empty.
const char *given(const char *text) noexcept { return text && *text ? text : nullptr; }

bool ends_with(const char *text, const char *end) noexcept {
    const size_t length = std::strlen(text), tail = std::strlen(end);
    return length >= tail && std::strcmp(text + length - tail, end) == 0;
}

bool find_format(const char *path, const char *name, pyattach_trace_format &found) noexcept {
    for (const named_format &known : formats)
        if (name ? std::strcmp(name, known.name) == 0 : ends_with(path, known.suffix)) {
            found = known.format;
            return true;
        }
    return false;
}

bool is_for_each_process(const plan &planned) noexcept { return std::strstr(planned.path, number_sign); }

// False: it is longer than a path can be.
bool expand(const char *pattern, char *path, size_t size) noexcept {
    size_t used = 0;
    for (const char *at = pattern; *at && used < size;) {
        if (std::strncmp(at, number_sign, 2) == 0) {
            const int length = std::snprintf(path + used, size - used, "%ld", own_process_id());
            used += static_cast<size_t>(length);
            at += 2;
        } else {
            path[used++] = *at++;
        }
    }
    if (used < size)
        path[used] = '\0';
    return used < size;
}

// `is_complete`: the program has not stopped the trace itself.
void write(bool is_complete) {
    char path[sizeof current.path], line[sizeof current.path + 256], text[128];
    if (!expand(current.path, path, sizeof path))
        return report::failure("the trace is not written: the file's name is longer than a path can be");
    errno = 0;
    if (pyattach_trace_write(path, current.format) != PYATTACH_OK) {
        const char *why = errno ? message_of_errno(errno, text, sizeof text) : "there is no memory to sort the records";
        std::snprintf(line, sizeof line, "the trace cannot be written to %s: %s", path, why);
        return report::failure(line);
    }
    if (!is_python_here)
        report::failure("the trace is empty, because there was no Python in this process. If Python is in a program "
                        "that this one starts, put %p into the name of the trace's file.");
    if (report::is_verbose()) {
        std::snprintf(line, sizeof line, "the trace is written to %s%s", path,
                      is_complete ? "" : ", up to where the program has stopped it");
        report::line(line);
    }
}

} // namespace

bool make_plan(const request &wanted, plan &made, char *sentence, size_t size) noexcept {
    const char *path = wanted.path, *format = wanted.format, *signal = wanted.signal;
    if (!given(path)) {
        std::snprintf(sentence, size, "the name of the trace's file is empty. Give one that may be written.");
        return false;
    }
    if (!find_format(path, format, made.format)) {
        if (format)
            std::snprintf(sentence, size, "there is no format %s. The formats are chrome, perfetto and html.", format);
        else
            std::snprintf(sentence, size,
                          "%s: the end of the name says no format. It is .json (Chrome's), .pftrace or .perfetto "
                          "(Perfetto's) or .html (a page). Use one of them, or name the format (--format).",
                          path);
        return false;
    }
    made.signal = signal ? signal_of_name(signal) : 0;
    if (signal && !made.signal) {
        std::snprintf(sentence, size,
                      "there is no signal %s that can have the trace written. Give a name, such as USR1, or a number. "
                      "KILL, STOP, ABRT and those that report a fault are none.",
                      signal);
        return false;
    }
    if (!full_path_for_writing(path, made.path, sizeof made.path)) {
        char text[128];
        std::snprintf(sentence, size, "the trace cannot be written to %s: %s", path,
                      message_of_errno(errno, text, sizeof text));
        return false;
    }
    return true;
}

bool begin(const plan &planned, bool has_python, char *sentence, size_t size) {
    char path[sizeof planned.path];
    if (!expand(planned.path, path, sizeof path)) {
        std::snprintf(sentence, size, "the name of the trace's file is longer than a path can be. Give a shorter one.");
        return false;
    }
    pyattach_trace_options options = {};
    options.struct_size = sizeof options;
    // Also before an abort, and at an exit time-out.
    options.dump_path = path;
    options.dump_format = planned.format;
    options.dump_signal = planned.signal;
    const pyattach_status outcome = pyattach_trace_start(&options);
    if (outcome != PYATTACH_OK) {
        std::snprintf(sentence, size, "%s",
                      outcome == PYATTACH_NO_MEMORY
                          ? "there is no memory for a trace, or no thread for its signal"
                          : "a trace records already, and goes on. There is one in a process.");
        return false;
    }
    current = planned;
    is_python_here = has_python;
    process = own_process_id();
    has_begun = true;
    return true;
}

void begin_as_environment_says() {
    const char *only = given(std::getenv("PYATTACH_RUN_TRACE_PROCESS"));
    const request wanted = {std::getenv("PYATTACH_RUN_TRACE"), given(std::getenv("PYATTACH_RUN_TRACE_FORMAT")),
                            given(std::getenv("PYATTACH_RUN_TRACE_SIGNAL"))};
    if (!given(wanted.path) || (only && std::strtol(only, nullptr, 10) != own_process_id()))
        return;
    plan planned;
    char sentence[sizeof planned.path + 256], line[sizeof sentence + 64];
    if (make_plan(wanted, planned, sentence, sizeof sentence) && begin(planned, false, sentence, sizeof sentence))
        return;
    std::snprintf(line, sizeof line, "there is no trace (PYATTACH_RUN_TRACE): %s", sentence);
    report::failure(line);
}

void finish() {
    if (!has_begun || (!is_for_each_process(current) && own_process_id() != process))
        return;
    has_begun = false;
    is_python_here = is_python_here || has_found_python();
    // Of the programs that a program starts, most have nothing to do with Python.
    if (is_for_each_process(current) && !is_python_here)
        return;
    // The program's handler may use what has ended.
    pyattach_set_message_handler(nullptr, nullptr);
    const bool was_recording = pyattach_trace_stop() == PYATTACH_OK;
    write(was_recording);
}

} // namespace pyattach::preload::process_trace
