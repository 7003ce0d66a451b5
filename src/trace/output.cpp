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

namespace {

// How many bytes of UTF-8 make the next character; 0: these bytes are not UTF-8.
int length_of_character(const unsigned char *at) noexcept {
    const auto follows = [at](int i) noexcept { return (at[i] & 0xc0) == 0x80; };
    if (at[0] < 0x80)
        return 1;
    if (at[0] >= 0xc2 && at[0] < 0xe0)
        return follows(1) ? 2 : 0;
    if (at[0] >= 0xe0 && at[0] < 0xf0) {
        const bool is_short = at[0] == 0xe0 && at[1] < 0xa0, is_surrogate = at[0] == 0xed && at[1] >= 0xa0;
        return follows(1) && follows(2) && !is_short && !is_surrogate ? 3 : 0;
    }
    if (at[0] >= 0xf0 && at[0] < 0xf5) {
        const bool is_out = (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] >= 0x90);
        return follows(1) && follows(2) && follows(3) && !is_out ? 4 : 0;
    }
    return 0;
}

} // namespace

void output::json(const char *text) noexcept {
    write("\"", 1);
    for (auto *at = reinterpret_cast<const unsigned char *>(text); *at;) {
        const int length = length_of_character(at);
        if (length == 0)
            write("?", 1);
        else if (length == 1 && (*at < 0x20 || *at == '<' || *at == '"' || *at == '\\' || *at == 0x7f))
            print("\\u%04x", *at);
        else
            write(at, static_cast<size_t>(length));
        at += length ? length : 1;
    }
    write("\"", 1);
}

} // namespace pyattach::trace
