// Part of the test programs in coverage builds only: counts are written down by exit handlers, so a process that ends
// without them, by _exit() or by abort(), writes down its own here.
#include <csignal>
#include <sys/syscall.h>
#include <unistd.h>

extern "C" {
void __gcov_dump();
// The shared library's; a program that has the static one inside has counted with its own.
__attribute__((weak)) void pyattach_coverage_dump();
[[noreturn]] void _exit(int) __attribute__((visibility("default")));
[[noreturn]] void _Exit(int) noexcept __attribute__((visibility("default")));
}

namespace {

void dump() noexcept {
    if (pyattach_coverage_dump)
        pyattach_coverage_dump();
    __gcov_dump();
}

void on_abort(int) { dump(); } // abort() goes on when this returns

[[noreturn]] void end(int status) noexcept {
    dump();
    for (;;)
        syscall(SYS_exit_group, status);
}

// Before main(), so that no child is missed.
const bool is_awaiting_abort = std::signal(SIGABRT, on_abort) != SIG_ERR;

} // namespace

// In place of libc's, for this program and for whatever it loads.
extern "C" void _exit(int status) { end(status); }
extern "C" void _Exit(int status) noexcept { end(status); }
