// Reports of threads: their lines, in signal handlers, where they cannot be written, and in long ends.
#include "support/attach_options.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/fork.hpp"
#include "support/scopes.hpp"
#include "support/thread_infos.hpp"
#include "support/threads.hpp"
#include "support/waiting_thread.hpp"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace support;

CHILD("a report has a line for each thread") {
    start_python();
    name_this_thread("host");
    latch inside("the thread to be inside"), may_go("permission to go");
    std::atomic<long> id{0};
    task worker("the thread to end", [&] {
        name_this_thread("worker");
        id = syscall(SYS_gettid);
        attached_with here{attach_options(false, "decode")};
        detached gap;
        inside.count_down();
        may_go.wait();
    });
    inside.wait();
    attached here;
    const std::string text = report();
    expect_in(text, "1 attached, 0 waiting, 1 detached, ");
    expect_in(text, "  thread " + std::to_string(getpid()) + " (host): attached, main interpreter\n");
    expect_in(text, "  thread " + std::to_string(id) + " (worker): detached, main interpreter, \"decode\"\n");
    EXPECT(text.find("(host)") < text.find("(worker)"));
    if (!is_free_threaded()) {
        waiting_thread waiting;
        wait_until("the thread to wait", [] { return report().find("1 attached, 1 waiting") != std::string::npos; });
        detached gap;
        waiting.join();
    }
    may_go.count_down();
    detached gap;
    worker.join();
}
TEST_CASE("a report names each thread, its state, its interpreter and its label") {
    check_succeeds("a report has a line for each thread");
}

CHILD("a report while a trace records") {
    start_python();
    EXPECT(pyattach_trace_start(nullptr) == PYATTACH_OK);
    attached here;
    const std::string text = report();
    expect_in(text, ": attached, main interpreter, for ");
    expect_in(text, " ms\n");
}
TEST_CASE("while a trace records, a report says for how long") { check_succeeds("a report while a trace records"); }

CHILD("a report that does not get on") {
    start_python();
    int ends[2];
    EXPECT(pipe(ends) == 0);
    const std::string filling(static_cast<size_t>(fcntl(ends[1], F_GETPIPE_SZ)), '.');
    EXPECT(write(ends[1], filling.data(), filling.size()) == static_cast<ssize_t>(filling.size()));
    task blocked("the blocked report to end", [&] { pyattach_report(ends[1]); });
    wait_until("the report to be written", [] { return report().find("another report is being written") == 10; });
    fork_plainly([] { expect_in(report(), "pyattach: 1 thread; "); });
    std::string text(2 * filling.size(), ' ');
    blocked.wait_until_asleep();
    while (text.find(" idle") == std::string::npos)
        EXPECT(read(ends[0], text.data(), text.size()) > 0);
    blocked.join();
    expect_in(report(), "pyattach: 1 thread; ");
}
TEST_CASE("a second report says that another one is being written, but not in a fork child") {
    check_succeeds("a report that does not get on");
}

namespace {

int signal_pipe[2];
std::atomic<int> reports{0};

void report_in_handler(int) {
    const int before = errno;
    pyattach_report(signal_pipe[1]);
    errno = before;
    ++reports;
}

} // namespace

// A reader that has the pipe for itself keeps it from being full.
CHILD("reports in a signal handler") {
    start_python();
    EXPECT(pipe(signal_pipe) == 0);
    struct sigaction action = {};
    action.sa_handler = report_in_handler;
    EXPECT(sigaction(SIGUSR1, &action, nullptr) == 0);
    std::string text;
    task reader("the reader to end", [&] {
        char piece[512];
        for (ssize_t length; (length = read(signal_pipe[0], piece, sizeof piece)) > 0;)
            text.append(piece, static_cast<size_t>(length));
    });
    std::atomic<bool> is_over{false};
    std::atomic<pthread_t> target{};
    latch begun("the interrupted thread to begin");
    // It makes and ends threads, and takes all the locks of the lists, wherever a signal finds it.
    task interrupted("the interrupted thread to end", [&] {
        target = pthread_self();
        begun.count_down();
        while (!is_over) {
            attached_with here{attach_options(false, "interrupted")};
            detached gap;
            EXPECT(pyattach_threads_get(nullptr, 0) >= 1);
        }
    });
    begun.wait();
    for (int i = 1; i <= 200; ++i) {
        EXPECT(pthread_kill(target, SIGUSR1) == 0);
        wait_until("a report to be written", [i] { return reports >= i; });
    }
    is_over = true;
    interrupted.join();
    close(signal_pipe[1]);
    reader.join();
    expect_in(text, "\"interrupted\"");
}
TEST_CASE("a report may be written in a signal handler, whatever the handler interrupts") {
    check_succeeds("reports in a signal handler");
}

CHILD("a descriptor that cannot be written") {
    start_python();
    attached here;
    errno = 55;
    pyattach_report(-1);
    EXPECT(errno == 55);
    expect_in(report(), "attached");
}
TEST_CASE("a report ignores a descriptor that cannot be written") {
    check_succeeds("a descriptor that cannot be written");
}

CHILD("an end that waits for a second") {
    start_python();
    name_this_thread("host");
    messages said;
    pyattach_set_exit_timeout(1500000000);
    // In native code it would keep Python, which a stop notices before it waits.
    static latch begun("the exit to have begun"), may_go("permission to go"), inside("the thread to be inside");
    task worker("the thread to end", [] {
        name_this_thread("worker");
        attached_with here{attach_options(false, "decode")};
        foreign_detach gap;
        inside.count_down();
        // Busy, because an end does not wait for a thread that sleeps. The message says that it may go.
        for (;;)
            if (messages().text().find("has waited for a second") != std::string::npos)
                return;
    });
    inside.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    worker.join();
    const std::string text = said.text();
    expect_in(text, "The interpreter's end has waited for a second");
    expect_in(text, "(worker): ");
    expect_in(text, ", main interpreter, \"decode\"\n");
    EXPECT(text.find("has waited for a second") == text.rfind("has waited for a second"));
}
TEST_CASE("an end that has waited for a second says once what each thread does") {
    check_succeeds("an end that waits for a second");
}
