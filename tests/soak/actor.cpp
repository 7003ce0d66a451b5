// Actors, their trails, and what is printed when something is wrong.
#include "soak/soak.hpp"

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <sys/syscall.h>
#include <unistd.h>

namespace soak {

// The last acts of one thread. In static memory, so that a signal handler can read it at any time.
struct trail {
    static constexpr unsigned length = 24;
    std::atomic<bool> is_taken{false};
    std::atomic<int> thread{0}; // 0: its thread has ended
    std::atomic<const char *> role{nullptr};
    std::atomic<unsigned> count{0};
    std::atomic<const char *> last[length] = {};
};

namespace {

trail trails[256];

pid_t thread_id() { return static_cast<pid_t>(syscall(SYS_gettid)); }

trail *take_trail(const char *role) {
    for (;;)
        for (trail &log : trails)
            if (!log.is_taken.exchange(true)) {
                log.count = 0;
                log.role = role;
                return &log;
            }
}

// Safe in a signal handler, and in the child of a fork.
class line {
  public:
    line &operator<<(const char *text) {
        for (; *text && size_ < sizeof text_; ++text)
            text_[size_++] = *text;
        return *this;
    }
    line &operator<<(std::uint64_t number) {
        char digits[24];
        char *at = digits + sizeof digits - 1;
        *at = 0;
        do
            *--at = static_cast<char>('0' + number % 10);
        while (number /= 10);
        return *this << at;
    }
    ~line() {
        if (write(STDERR_FILENO, text_, size_) < 0) {
        }
    }

  private:
    char text_[1500];
    std::size_t size_ = 0;
};

void print_trails() {
    line() << "soak: process " << std::uint64_t(getpid()) << ", seed " << on_stage().seed
           << "; the last acts of each thread:\n";
    for (const trail &log : trails) {
        const char *role = log.role;
        if (!role || log.thread == 0)
            continue;
        line out;
        out << "  " << role << " " << std::uint64_t(log.thread.load()) << ":";
        const unsigned count = log.count;
        for (unsigned i = count > trail::length ? count - trail::length : 0; i < count; ++i)
            if (const char *act = log.last[i % trail::length])
                out << " " << act << ";";
        out << "\n";
    }
}

// A driver sees this line, asks its debugger about every thread, and ends the process.
void wait_for_debugger() {
    if (!on_stage().has_driver)
        return;
    line() << "soak: process " << std::uint64_t(getpid()) << " waits for a debugger\n";
    for (int i = 0; i < 600; ++i)
        pause_us(100000);
}

std::atomic<int> is_wrong{0};

void on_fatal_signal(int number) {
    if (is_wrong.exchange(1) == 0) {
        line() << "soak: thread " << std::uint64_t(thread_id()) << ": signal " << std::uint64_t(number) << "\n";
        print_trails();
        wait_for_debugger();
    } else {
        pause_us(90000000); // the thread that was first is what matters
    }
    std::signal(number, SIG_DFL);
    std::raise(number);
}

} // namespace

void wrong(const char *file, int line_number, const char *what, const char *more) {
    if (is_wrong.exchange(1) != 0)
        for (;;)
            pause();
    line() << "soak: thread " << std::uint64_t(thread_id()) << ": " << file << ":" << std::uint64_t(line_number) << ": "
           << what << "; " << more << "\n";
    print_trails();
    wait_for_debugger();
    std::_Exit(70);
}

void watch_signals() {
    std::signal(SIGUSR2, [](int) { print_trails(); });
    for (int number : {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE})
        std::signal(number, on_fatal_signal);
}

void pause_us(unsigned microseconds) {
    timespec time = {microseconds / 1000000, static_cast<long>(microseconds % 1000000) * 1000};
    nanosleep(&time, nullptr);
}

void park(actor &me) {
    me.note("is parked");
    ++on_stage().parked;
    for (;;)
        pause();
}

stage &on_stage() {
    static stage &all = *new stage;
    return all;
}

actor::actor(const char *role, std::uint64_t seed) : dice_(seed), trail_(take_trail(role)) {
    ++on_stage().actors_alive;
}

actor::~actor() {
    give_all_back();
    --on_stage().actors_alive;
    trail_->thread = 0;
    trail_->is_taken = false;
}

void actor::note(const char *act) {
    trail_->thread = thread_id(); // an actor may be made before its thread
    const unsigned count = trail_->count;
    trail_->last[count % trail::length] = act;
    trail_->count = count + 1;
}

void actor::keep(object *reference) { held.push_back({reference, pyattach_interpreter_current()}); }

void actor::give_one_back() {
    if (held.empty())
        return;
    held_reference newest = held.back();
    held.pop_back();
    pyattach_decref_in(newest.interpreter, newest.reference);
}

void actor::give_all_back() {
    while (!held.empty())
        give_one_back();
}

} // namespace soak
