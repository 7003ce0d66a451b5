// The process: forking it, and its files.
#include "platform/process.hpp"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pyattach {

bool register_fork_handlers(void (*before)() noexcept, void (*in_parent)() noexcept,
                            void (*in_child)() noexcept) noexcept {
    return pthread_atfork(before, in_parent, in_child) == 0;
}

long long fork_process() noexcept { return fork(); }

long own_process_id() noexcept { return getpid(); }

bool is_directory(const char *path) noexcept {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

long process_number() noexcept { return getpid(); }

void path_of_program(char *path, size_t size) noexcept {
    const ssize_t length = readlink("/proc/self/exe", path, size - 1);
    path[length < 0 ? 0 : length] = '\0';
}

} // namespace pyattach
