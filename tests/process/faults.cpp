// Makes the n-th external call of the library fail.
//
// The symbols of the program come first, so the library's calls arrive here. The return address tells the caller.
// CPython's functions are found with dlsym: see faults_python.cpp.
#include "faults.hpp"

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <mutex>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "pyattach/pyattach.h"
#include "process/real_dlsym.hpp"

namespace faults {
namespace {

// The library's code.
uintptr_t first_byte, last_byte;

int look_at(dl_phdr_info *info, size_t, void *wanted) {
    auto inside = reinterpret_cast<uintptr_t>(wanted);
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto &part = info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + part.p_vaddr;
        if (part.p_type == PT_LOAD && (part.p_flags & PF_X) && begin <= inside && inside < begin + part.p_memsz) {
            first_byte = begin;
            last_byte = begin + part.p_memsz;
            return 1;
        }
    }
    return 0;
}

__attribute__((constructor)) void find_library() {
    dl_iterate_phdr(look_at, reinterpret_cast<void *>(&pyattach_version));
}

bool is_library(void *return_address) {
    auto at = reinterpret_cast<uintptr_t>(return_address);
    return first_byte <= at && at < last_byte;
}

std::atomic<int> left{0};
std::atomic<bool> goes_on{false};
std::atomic<unsigned> armed_for{0};
std::atomic<const char *> fired{nullptr}, always_name{nullptr};
std::atomic<int> fired_always{0};
std::atomic<int> left_to_end{-1};
std::atomic<const char *> ended{nullptr};

std::mutex names_lock;
std::set<std::string> names;

} // namespace

bool fails(of kind, const char *name) {
    const char *wanted = always_name.load(std::memory_order_relaxed);
    if (wanted && std::strcmp(wanted, name) == 0) {
        ++fired_always;
        return true;
    }
    if (!(armed_for.load(std::memory_order_relaxed) & static_cast<unsigned>(kind)))
        return false;
    int before = left--;
    if (before > 0 || (before < 0 && !goes_on))
        return false;
    const char *none = nullptr;
    fired.compare_exchange_strong(none, name);
    return true;
}

void arm(int before, of which, lasting how_long) {
    fired = nullptr;
    left = before;
    goes_on = how_long == lasting::from_then_on;
    armed_for = static_cast<unsigned>(which);
}

const char *disarm() {
    armed_for = 0;
    const char *name = fired;
    if (name) {
        std::lock_guard<std::mutex> hold(names_lock);
        names.insert(name);
    }
    return name;
}

void end_thread_at(int before) {
    ended = nullptr;
    left_to_end = before;
}
const char *ended_at() { return ended; }
bool ends_thread(const char *name) {
    if (left_to_end.load(std::memory_order_relaxed) < 0 || left_to_end-- != 0)
        return false;
    ended = name;
    return true;
}

void always(const char *name) {
    fired_always = 0;
    always_name = name;
}
int times_failed() { return fired_always; }

const std::set<std::string> &failed_so_far() { return names; }

namespace {

template <class Function> Function *next(const char *name) {
    return reinterpret_cast<Function *>(real_dlsym(RTLD_NEXT, name));
}

bool fails_here(of kind, const char *name, void *return_address, int error) {
    if (!is_library(return_address) || !fails(kind, name))
        return false;
    errno = error;
    return true;
}

} // namespace
} // namespace faults

// --- Functions of libc and the kernel
// ---------------------------------------------------------------------------------------------------

#define FAILS(kind, name, error)                                                                                       \
    faults::fails_here(faults::of::kind, name, __builtin_extract_return_addr(__builtin_return_address(0)), error)

extern "C" {
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_memalign(size_t, size_t);

void *malloc(size_t size) { return FAILS(memory, "malloc", ENOMEM) ? nullptr : __libc_malloc(size); }
void *calloc(size_t count, size_t size) {
    return FAILS(memory, "calloc", ENOMEM) ? nullptr : __libc_calloc(count, size);
}
int posix_memalign(void **memory, size_t alignment, size_t size) noexcept {
    if (FAILS(memory, "posix_memalign", ENOMEM))
        return ENOMEM;
    void *found = __libc_memalign(alignment, size);
    if (!found)
        return ENOMEM;
    *memory = found;
    return 0;
}

// pthread_atfork is linked into its caller, and is this.
int __register_atfork(void (*prepare)(), void (*parent)(), void (*child)(), void *object) noexcept {
    static auto *const real = faults::next<decltype(__register_atfork)>("__register_atfork");
    return FAILS(threads, "pthread_atfork", ENOMEM) ? ENOMEM : real(prepare, parent, child, object);
}
int pthread_create(pthread_t *thread, const pthread_attr_t *with, void *(*function)(void *), void *arg) noexcept {
    static auto *const real = faults::next<decltype(pthread_create)>("pthread_create");
    return FAILS(threads, "pthread_create", EAGAIN) ? EAGAIN : real(thread, with, function, arg);
}
int pthread_key_create(pthread_key_t *key, void (*destructor)(void *)) noexcept {
    static auto *const real = faults::next<decltype(pthread_key_create)>("pthread_key_create");
    return FAILS(threads, "pthread_key_create", EAGAIN) ? EAGAIN : real(key, destructor);
}
int pthread_setspecific(pthread_key_t key, const void *value) noexcept {
    static auto *const real = faults::next<decltype(pthread_setspecific)>("pthread_setspecific");
    return FAILS(threads, "pthread_setspecific", ENOMEM) ? ENOMEM : real(key, value);
}

void *dlsym(void *handle, const char *name) noexcept {
    if (!faults::is_library(__builtin_return_address(0)))
        return real_dlsym(handle, name);
    void *address = faults::fails(faults::of::linker, "dlsym") ? nullptr : real_dlsym(handle, name);
    return address ? faults::in_place_of(name, address) : nullptr;
}
void *dlopen(const char *file, int mode) noexcept {
    // dlopen looks at its caller's run path; neither this executable nor the library has one.
    static auto *const real = faults::next<decltype(dlopen)>("dlopen");
    return FAILS(linker, "dlopen", ENOENT) ? nullptr : real(file, mode);
}

int open(const char *path, int flags, ...) {
    static auto *const real = faults::next<decltype(open)>("open");
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list behind;
        va_start(behind, flags);
        mode = va_arg(behind, mode_t);
        va_end(behind);
    }
    return FAILS(kernel, "open", EMFILE) ? -1 : real(path, flags, mode);
}
void *mmap(void *at, size_t size, int protection, int flags, int file, off_t offset) noexcept {
    if (FAILS(kernel, "mmap", ENOMEM))
        return MAP_FAILED;
    static auto *const real = faults::next<decltype(mmap)>("mmap");
    return real(at, size, protection, flags, file, offset);
}
long syscall(long number, ...) noexcept {
    long given[6];
    va_list arguments;
    va_start(arguments, number);
    for (long &each : given)
        each = va_arg(arguments, long);
    va_end(arguments);
    const char *name = number == SYS_membarrier ? "membarrier" : number == SYS_futex ? "futex" : nullptr;
    if (number == SYS_tgkill)
        name = "tgkill";
    if (name && FAILS(kernel, name, number == SYS_futex ? EINTR : EPERM))
        return -1;
    static auto *const real = faults::next<decltype(syscall)>("syscall");
    return real(number, given[0], given[1], given[2], given[3], given[4], given[5]);
}
}
