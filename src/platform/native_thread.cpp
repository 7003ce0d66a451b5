// Threads as the kernel knows them.
#include "platform/native_thread.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace pyattach {

#if defined(__linux__)
pid_t own_native_id() noexcept { return static_cast<pid_t>(syscall(SYS_gettid)); }

void name_of(pid_t native_id, char (&name)[32]) noexcept {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/self/task/%d/comm", static_cast<int>(native_id));
    name[0] = '\0';
    if (std::FILE *file = std::fopen(path, "re")) {
        if (std::fgets(name, sizeof name, file))
            name[std::strcspn(name, "\n")] = '\0';
        std::fclose(file);
    }
}

bool has_ended(pid_t native_id) noexcept { return syscall(SYS_tgkill, getpid(), native_id, 0) != 0 && errno == ESRCH; }
#else
pid_t own_native_id() noexcept { return 0; }
void name_of(pid_t, char (&name)[32]) noexcept { name[0] = '\0'; }
bool has_ended(pid_t) noexcept { return false; }
#endif

} // namespace pyattach
