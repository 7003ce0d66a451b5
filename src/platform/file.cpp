// Files that the library writes.
#include "platform/file.hpp"

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
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

bool full_path_for_writing(const char *path, char *full, size_t size) noexcept {
    const char *slash = std::strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char folder[PATH_MAX], real[PATH_MAX];
    const int length = static_cast<int>(name - path);
    std::snprintf(folder, sizeof folder, "%.*s", slash ? length : 1, slash ? path : ".");
    errno = ENAMETOOLONG;
    if (length >= PATH_MAX || !realpath(folder, real))
        return false;
    const char *separator = std::strcmp(real, "/") == 0 ? "" : "/";
    const int used = std::snprintf(full, size, "%s%s%s", real, separator, name);
    errno = ENAMETOOLONG;
    if (used < 0 || static_cast<size_t>(used) >= size)
        return false;
    struct stat about;
    if (stat(full, &about) != 0)
        return access(real, W_OK | X_OK) == 0;
    errno = EISDIR;
    return !S_ISDIR(about.st_mode) && access(full, W_OK) == 0;
}

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
