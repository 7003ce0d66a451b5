// A signal that the program gives to this library.
#include "platform/signal.hpp"

#include <cstdlib>
#include <cstring>

namespace pyattach {

bool may_be_taken(int signal) noexcept {
    switch (signal) {
    case SIGKILL:
    case SIGSTOP:
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGSYS:
    case SIGABRT:
        return false;
    default: {
        struct sigaction now;
        return signal > 0 && sigaction(signal, nullptr, &now) == 0; // not those that the C library keeps to itself
    }
    }
}

int signal_of_name(const char *name) noexcept {
    static constexpr struct {
        const char *name;
        int number;
    } known[] = {{"USR1", SIGUSR1}, {"USR2", SIGUSR2},   {"HUP", SIGHUP},   {"INT", SIGINT}, {"QUIT", SIGQUIT},
                 {"TERM", SIGTERM}, {"ALRM", SIGALRM},   {"PROF", SIGPROF}, {"URG", SIGURG}, {"VTALRM", SIGVTALRM},
                 {"XCPU", SIGXCPU}, {"WINCH", SIGWINCH}, {"IO", SIGIO}};
    if (*name >= '0' && *name <= '9') {
        char *end;
        const long number = std::strtol(name, &end, 10);
        return !*end && number < 1000 && may_be_taken(static_cast<int>(number)) ? static_cast<int>(number) : 0;
    }
    const char *rest = std::strncmp(name, "SIG", 3) == 0 ? name + 3 : name;
    for (const auto &signal : known)
        if (std::strcmp(rest, signal.name) == 0)
            return signal.number;
    return 0;
}

bool taken_signal::take(int signal, void (*handler)(int)) noexcept {
    struct sigaction wanted = {};
    wanted.sa_handler = handler;
    // A thread may be on a stack that has room for little more than its own work. Calls that can go on do.
    wanted.sa_flags = SA_ONSTACK | SA_RESTART;
    sigemptyset(&wanted.sa_mask);
    if (sigaction(signal, &wanted, &before_) != 0)
        return false;
    signal_ = signal;
    handler_ = handler;
    return true;
}

void taken_signal::give_back() noexcept {
    struct sigaction now;
    if (signal_ && sigaction(signal_, nullptr, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == handler_)
        sigaction(signal_, &before_, nullptr);
    signal_ = 0;
}

void unblock_signal(int signal) noexcept {
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, signal);
    pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
}

} // namespace pyattach
