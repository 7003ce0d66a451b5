// Output: a file that is written in large pieces.
#include "trace/output.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "platform/file.hpp"

namespace pyattach::trace {

void output::flush() noexcept {
    if (!failed_with_ && !write_all(descriptor_, buffer_, used_))
        failed_with_ = errno;
    used_ = 0;
}

int output::finish() noexcept {
    flush();
    return failed_with_;
}

void output::write(const void *data, size_t size) noexcept {
    const char *from = static_cast<const char *>(data);
    while (size) {
        const size_t part = std::min(size, sizeof buffer_ - used_);
        std::memcpy(buffer_ + used_, from, part);
        used_ += part;
        from += part;
        size -= part;
        if (used_ == sizeof buffer_)
            flush();
    }
}

void output::text(const char *text) noexcept { write(text, std::strlen(text)); }

void output::print(const char *format, ...) noexcept {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    const int length = std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length > 0)
        write(text, std::min(static_cast<size_t>(length), sizeof text - 1));
}

void output::micros(int64_t ns) noexcept {
    print("%s%lld.%03d", ns < 0 ? "-" : "", static_cast<long long>(ns < 0 ? -ns / 1000 : ns / 1000),
          static_cast<int>((ns < 0 ? -ns : ns) % 1000));
}

void output::json(const char *text) noexcept {
    write("\"", 1);
    for (const char *at = text; *at; ++at) {
        const auto byte = static_cast<unsigned char>(*at);
        if (byte < 0x20 || byte == '<' || byte == '"' || byte == '\\' || byte == 0x7f)
            print("\\u%04x", byte);
        else
            write(at, 1);
    }
    write("\"", 1);
}

} // namespace pyattach::trace
