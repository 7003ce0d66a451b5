// Writes a trace as a file.
#include "trace/write.hpp"

#include <cerrno>

#include "base/diagnostics.hpp"
#include "platform/file.hpp"
#include "trace/formats.hpp"

namespace pyattach::trace {
namespace {

status refuse_no_memory() noexcept {
    static refusal_site no_memory;
    return refused(PYATTACH_NO_MEMORY, no_memory,
                   "pyattach_trace_write: there is no memory to sort the records. They are kept. Free some memory, and "
                   "write again.");
}

status refuse_format(int format) noexcept {
    static refusal_site no_format;
    return refused_with(PYATTACH_INVALID, no_format,
                        "pyattach_trace_write: there is no format %d. The formats are those of pyattach_trace_format. "
                        "Pass one of them.",
                        format);
}

bool is_format(int format) noexcept { return format >= PYATTACH_TRACE_CHROME && format <= PYATTACH_TRACE_HTML; }

// The reason stays in errno.
status refuse_file(const char *path, int reason) noexcept {
    static refusal_site no_file;
    char text[128];
    const status why = refused_with(
        PYATTACH_INVALID, no_file,
        "pyattach_trace_write: %s cannot be written: %s. What was recorded is kept. Write it to another file.",
        path ? path : "the descriptor", message_of_errno(reason, text, sizeof text));
    errno = reason;
    return why;
}

// 0, or an errno. ENOMEM: there was no memory, too.
int write_timeline(int descriptor, const timeline &from, int format) noexcept {
    output to(descriptor);
    bool has_memory = true;
    if (format == PYATTACH_TRACE_PERFETTO)
        has_memory = write_perfetto(to, from);
    else if (format == PYATTACH_TRACE_HTML)
        write_html(to, from);
    else
        write_chrome(to, from);
    const int failed = to.finish();
    return failed ? failed : has_memory ? 0 : ENOMEM;
}

// To a descriptor if the path is NULL. A file is made only if there is something to write.
status write_anywhere(const char *path, int descriptor, int format) noexcept {
    if (!is_format(format))
        return refuse_format(format);
    timeline made;
    {
        recorded copy;
        if (const status refused = copy_recorded(copy))
            return refused;
        if (!build(made, copy))
            return refuse_no_memory();
    }
    const int opened = path ? open_for_writing(path) : descriptor;
    if (opened < 0)
        return refuse_file(path, path ? errno : EBADF);
    int failed = write_timeline(opened, made, format);
    if (path && !close_file(opened) && !failed)
        failed = errno;
    return failed ? refuse_file(path, failed) : PYATTACH_OK;
}

} // namespace

status write_to_path(const char *path, int format) noexcept {
    static refusal_site no_path;
    if (!path)
        return refused(PYATTACH_INVALID, no_path,
                       "pyattach_trace_write: the path is NULL. A trace is written to a file. Pass its path, or write "
                       "to a descriptor with pyattach_trace_write_fd.");
    const int before = errno;
    const status outcome = write_anywhere(path, -1, format);
    if (outcome == PYATTACH_OK)
        errno = before;
    return outcome;
}

status write_to_descriptor(int descriptor, int format) noexcept {
    const int before = errno;
    const status outcome = write_anywhere(nullptr, descriptor, format);
    if (outcome == PYATTACH_OK)
        errno = before;
    return outcome;
}

} // namespace pyattach::trace
