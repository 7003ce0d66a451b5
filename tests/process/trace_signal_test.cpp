// A trace that is written when a signal comes: in a deadlock, between any two instructions, and who has the signal
// then.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/fork.hpp"
#include "support/scopes.hpp"
#include "support/temporary_folder.hpp"
#include "support/threads.hpp"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <pthread.h>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

using namespace support;

namespace {

bool has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

pyattach_trace_options options_for(const std::string &path, int signal = SIGUSR1) {
    pyattach_trace_options options = {};
    options.struct_size = sizeof options;
    options.dump_path = path.c_str();
    options.dump_signal = signal;
    return options;
}

void start_trace(const std::string &path) {
    const pyattach_trace_options options = options_for(path);
    EXPECT(pyattach_trace_start(&options) == PYATTACH_OK);
}

std::string read_file(const std::string &path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

bool is_complete(const std::string &text) { return has(text, "\n]}\n"); }

std::string read_to_end(int descriptor) {
    std::string text;
    char part[4096];
    for (ssize_t size; (size = read(descriptor, part, sizeof part)) > 0;)
        text.append(part, static_cast<size_t>(size));
    return text;
}

// The file once it is complete, and has this in it.
std::string wait_for_file(const std::string &path, const std::string &part) {
    std::string text;
    wait_until("the file to be complete", [&] {
        text = read_file(path);
        return is_complete(text) && has(text, part);
    });
    return text;
}

void attach_as(const char *name) {
    run_on_thread([name] {
        pthread_setname_np(pthread_self(), name);
        attached here;
    });
}

int count_descriptors(const std::string &path) {
    int found = 0;
    for (const auto &entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code is_gone;
        found += std::filesystem::read_symlink(entry.path(), is_gone) == path;
    }
    return found;
}

std::atomic<int> handled{0};
void count_signal(int) { ++handled; }
void handle(int signal, void (*function)(int)) {
    struct sigaction action = {};
    action.sa_handler = function;
    EXPECT(sigaction(signal, &action, nullptr) == 0);
}
void *handler_of(int signal) {
    struct sigaction now;
    EXPECT(sigaction(signal, nullptr, &now) == 0);
    return reinterpret_cast<void *>(now.sa_handler);
}

// With the path of a file that is not there yet.
void check_with_file(const char *child) {
    temporary_folder folder;
    child_options options;
    options.arguments = {folder.path + "/dump.json"};
    check_succeeds(child, options);
}

} // namespace

CHILD("is asked while a thread keeps Python") {
    const std::string path = child_arguments()[0];
    start_trace(path);
    start_python();
    latch inside("the thread to be inside"), seen("the file to be read");
    task holder("the thread that keeps Python", [&] {
        pthread_setname_np(pthread_self(), "holder");
        attached here;
        inside.count_down();
        seen.wait();
    });
    inside.wait();
    EXPECT(raise(SIGUSR1) == 0);
    EXPECT(has(wait_for_file(path, "\"name\":\"holder\""), "\"open\":true"));
    seen.count_down();
    holder.join();
    attach_as("later");
    EXPECT(raise(SIGUSR1) == 0);
    wait_for_file(path, "\"name\":\"later\"");
    EXPECT(pyattach_trace_stop() == PYATTACH_OK);
}

TEST_CASE("a signal has the trace written while a thread keeps Python, and each further one again") {
    check_with_file("is asked while a thread keeps Python");
}

CHILD("is asked while all threads block the signal") {
    const std::string path = child_arguments()[0];
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    EXPECT(pthread_sigmask(SIG_BLOCK, &one, nullptr) == 0);
    start_python();
    start_trace(path);
    attach_as("worker");
    EXPECT(kill(getpid(), SIGUSR1) == 0);
    wait_for_file(path, "\"name\":\"worker\"");
    EXPECT(pyattach_trace_stop() == PYATTACH_OK);
}

TEST_CASE("the signal comes where all threads of the program block it") {
    check_with_file("is asked while all threads block the signal");
}

CHILD("has a handler of its own") {
    const std::string path = child_arguments()[0];
    handle(SIGUSR1, count_signal);
    const pyattach_trace_options options = options_for(path);
    for (int round = 0; round < 2; ++round) {
        EXPECT(pyattach_trace_start(&options) == PYATTACH_OK);
        EXPECT(raise(SIGUSR1) == 0);
        wait_until("the file", [&] { return is_complete(read_file(path)); });
        EXPECT(handled == round);
        EXPECT(pyattach_trace_start(&options) == PYATTACH_INVALID); // which leaves the handler alone
        EXPECT(pyattach_trace_stop() == PYATTACH_OK);
        EXPECT(handler_of(SIGUSR1) == reinterpret_cast<void *>(count_signal));
        EXPECT(raise(SIGUSR1) == 0 && handled == round + 1);
        EXPECT(remove(path.c_str()) == 0);
    }
    EXPECT(pyattach_trace_start(&options) == PYATTACH_OK);
    handle(SIGUSR1, SIG_IGN);
    EXPECT(pyattach_trace_stop() == PYATTACH_OK);
    EXPECT(handler_of(SIGUSR1) == reinterpret_cast<void *>(SIG_IGN));
}

TEST_CASE("the handler before is there again after the stop, and one that was set meanwhile stays") {
    check_with_file("has a handler of its own");
}

CHILD("is asked again and again, by each thread") {
    const std::string path = child_arguments()[0];
    start_python();
    start_trace(path);
    run_on_threads(4, "the busy threads", [](int number) {
        // The thread interrupts the others wherever they are: in malloc, in a lock of this library, in the dump.
        for (int round = 0; round < 300; ++round) {
            std::unique_ptr<char[]> memory(new char[static_cast<size_t>(1 + number) * 100]);
            attached here;
            EXPECT(kill(getpid(), SIGUSR1) == 0 && raise(SIGUSR1) == 0);
            detached gap;
        }
    });
    EXPECT(pyattach_trace_stop() == PYATTACH_OK);
    // No signal that came before has it written once more.
    const std::string text = read_file(path);
    EXPECT(text.empty() || is_complete(text));
    EXPECT(handler_of(SIGUSR1) == reinterpret_cast<void *>(SIG_DFL));
    EXPECT(pyattach_trace_write(path.c_str(), PYATTACH_TRACE_CHROME) == PYATTACH_OK);
    EXPECT(is_complete(read_file(path)));
}

TEST_CASE("signals may come at any moment") { check_with_file("is asked again and again, by each thread"); }

CHILD("stops while the file is written") {
    const std::string path = child_arguments()[0];
    EXPECT(mkfifo(path.c_str(), 0600) == 0);
    start_python();
    start_trace(path);
    // A pipe holds 64 KiB. The rest of the file waits to be read.
    for (int i = 0; i < 2000; ++i) {
        attached here;
    }
    attach_as("worker");
    EXPECT(raise(SIGUSR1) == 0);
    // This returns when the file is open at the other end, too.
    const int end = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    task stopping("the stop", [] { EXPECT(pyattach_trace_stop() == PYATTACH_OK); });
    stopping.wait_until_asleep();
    EXPECT(!stopping.has_returned());
    const std::string text = read_to_end(end);
    EXPECT(has(text, "\"name\":\"worker\"") && is_complete(text) && text.size() > 100000);
    stopping.join();
}

TEST_CASE("a stop waits until the file is complete") { check_with_file("stops while the file is written"); }

CHILD("is asked in a fork child") {
    const std::string path = child_arguments()[0];
    handle(SIGUSR1, count_signal);
    start_python();
    start_trace(path);
    attach_as("parent's");
    fork_plainly([&] {
        EXPECT(raise(SIGUSR1) == 0 && handled == 0);
        EXPECT(pyattach_trace_stop() == PYATTACH_OK);
        EXPECT(raise(SIGUSR1) == 0 && handled == 1);
        EXPECT(read_file(path).empty());
        // A trace of its own has its own thread.
        start_trace(path + ".child");
        EXPECT(raise(SIGUSR1) == 0);
        wait_for_file(path + ".child", "traceEvents");
    });
    EXPECT(raise(SIGUSR1) == 0);
    wait_for_file(path, "parent's");
    EXPECT(pyattach_trace_stop() == PYATTACH_OK && handled == 0);
}

TEST_CASE("in a fork child the signal does nothing until the trace is stopped there") {
    check_with_file("is asked in a fork child");
}

CHILD("forks without Python while the file is written") {
    const std::string path = child_arguments()[0];
    EXPECT(mkfifo(path.c_str(), 0600) == 0);
    const int end = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    const int filling = open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    EXPECT(end >= 0 && filling >= 0);
    while (write(filling, "x", 1) == 1)
        ;
    EXPECT(close(filling) == 0);
    start_trace(path);
    EXPECT(raise(SIGUSR1) == 0);
    wait_until("the file to be open at its other end", [&] { return count_descriptors(path) == 2; });
    // This library is told of no fork, because there is no interpreter.
    fork_plainly([] { EXPECT(pyattach_trace_stop() == PYATTACH_OK); });
    EXPECT(fcntl(end, F_SETFL, 0) == 0);
    EXPECT(is_complete(read_to_end(end)));
    EXPECT(pyattach_trace_stop() == PYATTACH_OK);
}

TEST_CASE("a fork child does not wait for a file that its parent writes") {
    check_with_file("forks without Python while the file is written");
}

CHILD("stops the trace where a message says that the file cannot be written") {
    static latch stopped("the message handler");
    start_python();
    start_trace("/no/such/folder/dump.json");
    pyattach_set_message_handler(
        [](const char *message, void *) {
            if (!has(message, "/no/such/folder/dump.json cannot be written"))
                return;
            EXPECT(pyattach_trace_stop() == PYATTACH_OK);
            stopped.count_down();
        },
        nullptr);
    EXPECT(raise(SIGUSR1) == 0);
    stopped.wait();
    EXPECT(pyattach_trace_stop() == PYATTACH_INVALID);
    EXPECT(handler_of(SIGUSR1) == reinterpret_cast<void *>(SIG_DFL));
}

TEST_CASE("what cannot be written is told to the message handler, which may stop the trace") {
    check_succeeds("stops the trace where a message says that the file cannot be written");
}

TEST_CASE("a signal that no handler may take, or that has no file, is refused") {
    for (int signal : {-1, 9999, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, 32}) {
        const pyattach_trace_options options = options_for("/tmp/never-made", signal);
        CHECK(pyattach_trace_start(&options) == PYATTACH_INVALID);
    }
    pyattach_trace_options options = options_for("/tmp/never-made");
    options.dump_path = nullptr;
    CHECK(pyattach_trace_start(&options) == PYATTACH_INVALID);
    CHECK(handler_of(SIGUSR1) == reinterpret_cast<void *>(SIG_DFL));
}
