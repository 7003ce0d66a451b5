// Native threads.
#include "platform/native_thread.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#if defined(__linux__)
#include <ctime>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "platform/kept_errno.hpp"
#include "platform/uncancelled.hpp"

namespace pyattach {

#if defined(__linux__)
pid_t own_native_id() noexcept { return static_cast<pid_t>(syscall(SYS_gettid)); }

void name_of(pid_t native_id, char (&name)[32]) noexcept {
    const kept_errno kept;
    uncancelled no_cancel;
    // The number is written by hand: this may run in a signal handler (pyattach_report).
    char path[64] = "/proc/self/task/", digits[16];
    size_t end = std::strlen(path), count = 0;
    for (unsigned rest = static_cast<unsigned>(native_id); count == 0 || rest; rest /= 10)
        digits[count++] = static_cast<char>('0' + rest % 10);
    while (count)
        path[end++] = digits[--count];
    std::memcpy(path + end, "/comm", sizeof "/comm");
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t length = file < 0 ? -1 : read(file, name, sizeof name - 1);
    if (file >= 0)
        close(file);
    name[length > 0 ? length : 0] = '\0';
    name[std::strcspn(name, "\n")] = '\0';
}

void name_own_thread(const char *name) noexcept { pthread_setname_np(pthread_self(), name); }

bool has_ended(pid_t native_id) noexcept { return syscall(SYS_tgkill, getpid(), native_id, 0) != 0 && errno == ESRCH; }
bool read_activity(pid_t native_id, thread_activity &found) noexcept {
    const kept_errno kept;
    uncancelled no_cancel;
    // The processor clock of a thread, as clock_gettime takes it: the inverted number, and in the low three bits
    // "of a thread" (4) and "as the scheduler measures it" (2).
    const clockid_t clock = static_cast<clockid_t>(~static_cast<unsigned>(native_id) << 3 | 6);
    timespec used;
    if (native_id == 0 || clock_gettime(clock, &used) != 0)
        return false;
    char text[128]; // "ID (NAME) STATE ...", with at most 15 bytes of a name, which may contain anything
    std::snprintf(text, sizeof text, "/proc/self/task/%d/stat", static_cast<int>(native_id));
    const int file = open(text, O_RDONLY | O_CLOEXEC);
    const ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0)
        close(file);
    text[length > 0 ? length : 0] = '\0';
    const char *end_of_name = std::strrchr(text, ')');
    if (!end_of_name || end_of_name[1] != ' ')
        return false;
    found.is_asleep = end_of_name[2] == 'S' || end_of_name[2] == 'D';
    found.cpu_ns = int64_t{used.tv_sec} * 1000000000 + used.tv_nsec;
    return true;
}
#else
pid_t own_native_id() noexcept { return 0; }
bool read_activity(pid_t, thread_activity &) noexcept { return false; }
void name_of(pid_t, char (&name)[32]) noexcept { name[0] = '\0'; }
void name_own_thread(const char *) noexcept {}
bool has_ended(pid_t) noexcept { return false; }
#endif

bool is_on_own_stack(const void *storage) noexcept {
#if defined(__linux__)
    const kept_errno kept;
    uncancelled no_cancel; // on the main thread pthread_getattr_np reads a file, which is a cancellation point
    pthread_attr_t attributes;
    void *lowest = nullptr;
    size_t size = 0;
    const bool is_known = pthread_getattr_np(pthread_self(), &attributes) == 0;
    if (is_known) {
        pthread_attr_getstack(&attributes, &lowest, &size);
        pthread_attr_destroy(&attributes);
    }
    return !is_known || reinterpret_cast<uintptr_t>(storage) - reinterpret_cast<uintptr_t>(lowest) < size;
#else
    (void)storage;
    return true;
#endif
}

namespace {

// All signals are blocked in the new thread, so that the system delivers them to threads of the program. A thread that
// is not joined is created detached: glibc's pthread_detach may free the stack of a later thread, if this one ends
// meanwhile (its bug 19951).
bool create(pthread_t &thread, int detach_state, void *(*run)(void *) noexcept, void *argument) noexcept {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attributes;
    bool is_made = pthread_attr_init(&attributes) == 0;
    if (is_made) {
        is_made = pthread_attr_setdetachstate(&attributes, detach_state) == 0 &&
                  pthread_create(&thread, &attributes, run, argument) == 0;
        pthread_attr_destroy(&attributes);
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return is_made;
}

} // namespace

bool start_thread(void *(*run)(void *argument) noexcept, void *argument) noexcept {
    pthread_t started;
    return create(started, PTHREAD_CREATE_JOINABLE, run, argument);
}

bool start_helper(void *(*run)(void *argument) noexcept, void *argument) noexcept {
    pthread_t helper;
    return create(helper, PTHREAD_CREATE_DETACHED, run, argument);
}

void *run_on_helper(void *(*run)(void *argument) noexcept, void *argument) noexcept {
    pthread_t helper;
    void *result = nullptr;
    if (create(helper, PTHREAD_CREATE_JOINABLE, run, argument))
        pthread_join(helper, &result);
    return result;
}

} // namespace pyattach
