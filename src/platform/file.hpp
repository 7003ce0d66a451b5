// Files that the library writes.
#pragma once

#include <cstddef>

namespace pyattach {

// Makes the file anew. A descriptor; negative: errno is set.
int open_for_writing(const char *path) noexcept;
// False: errno is set, and a part may have been written.
bool write_all(int descriptor, const void *data, size_t size) noexcept;
bool close_file(int descriptor) noexcept;
// Writes the full path of a file to `full`, which need not be there yet. Makes nothing. False: the file cannot be
// written, or the path is longer than `full`; errno is set.
bool full_path_for_writing(const char *path, char *full, size_t size) noexcept;
// The message of an errno.
const char *message_of_errno(int number, char *buffer, size_t size) noexcept;

} // namespace pyattach
