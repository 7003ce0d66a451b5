// Files that the library writes.
#include "platform/file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace pyattach {

int open_for_writing(const char *path) noexcept { return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666); }

bool write_all(int descriptor, const void *data, size_t size) noexcept {
    const char *from = static_cast<const char *>(data);
    while (size) {
        const ssize_t written = write(descriptor, from, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        from += written;
        size -= static_cast<size_t>(written);
    }
    return true;
}

// After EINTR the descriptor is closed, too, on Linux.
bool close_file(int descriptor) noexcept { return close(descriptor) == 0 || errno == EINTR; }

namespace {
// strerror_r returns an int or a string, whichever the C library chose.
[[maybe_unused]] const char *text_of(int failed, const char *buffer) noexcept { return failed ? "" : buffer; }
[[maybe_unused]] const char *text_of(const char *text, const char *) noexcept { return text; }
} // namespace

const char *message_of_errno(int number, char *buffer, size_t size) noexcept {
    buffer[0] = '\0';
    return text_of(strerror_r(number, buffer, size), buffer);
}

} // namespace pyattach
