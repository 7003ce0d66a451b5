// Scenarios in processes of their own.
#include "support/child.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <map>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/deadline_factor.hpp"
#include "support/python.hpp"
#include "support/sanitizers.hpp"

extern char **environ;

namespace support {
namespace {

std::map<std::string, void (*)()> &scenarios() {
    static std::map<std::string, void (*)()> all; // made by the first registration, whichever file that is in
    return all;
}

std::vector<std::string> arguments_of_child;

std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>> &changes) {
    std::vector<std::string> all;
    for (char **text = environ; *text; ++text) {
        std::string name(*text, std::strcspn(*text, "="));
        bool changed = false;
        for (const auto &change : changes)
            changed = changed || change.first == name;
        if (!changed)
            all.emplace_back(*text);
    }
    for (const auto &change : changes)
        if (!change.second.empty())
            all.push_back(change.first + "=" + change.second);
    return all;
}

std::vector<char *> pointers(const std::vector<std::string> &texts) {
    std::vector<char *> all;
    for (const std::string &text : texts)
        all.push_back(const_cast<char *>(text.c_str()));
    all.push_back(nullptr);
    return all;
}

// Reads what the child says until it closes its end or the deadline has passed; false: the deadline.
bool read_all(int from, std::chrono::steady_clock::time_point deadline, std::string &into) {
    for (;;) {
        auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0)
            return false;
        pollfd descriptor = {from, POLLIN, 0};
        int ready = poll(&descriptor, 1, static_cast<int>(left.count()));
        if (ready < 0 && errno != EINTR)
            return true;
        if (ready <= 0)
            continue;
        char buffer[4096];
        ssize_t size = read(from, buffer, sizeof buffer);
        if (size == 0)
            return true;
        if (size > 0)
            into.append(buffer, static_cast<size_t>(size));
    }
}

} // namespace

std::string child_result::describe() const {
    std::string how = timed_out ? "was killed at its deadline"
                      : signal  ? std::string("was ended by signal ") + strsignal(signal)
                                : "exited with " + std::to_string(exit_code);
    return "the child " + how + "; it said:\n" + output;
}

child_result run_program(const std::vector<std::string> &command, const child_options &options) {
    int ends[2];
    EXPECT_SENTENCE(pipe2(ends, O_CLOEXEC) == 0, "pipe2 failed");
    std::vector<std::string> environment = environment_with(options.environment);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    pid_t child = 0;
    int failed = posix_spawnp(&child, command[0].c_str(), &actions, nullptr, pointers(command).data(),
                              pointers(environment).data());
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    child_result result;
    if (failed) {
        close(ends[0]);
        throw failure("cannot start " + command[0] + ": " + std::strerror(failed));
    }
    result.timed_out =
        !read_all(ends[0], std::chrono::steady_clock::now() + options.deadline * deadline_factor(), result.output);
    close(ends[0]);
    if (result.timed_out)
        kill(child, SIGKILL);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status))
        result.exit_code = WEXITSTATUS(status);
    else
        result.signal = WTERMSIG(status);
    return result;
}

child_result run_child(const std::string &name, child_options options) {
    // By its own name: valgrind takes /proc/self/exe for itself.
    std::vector<std::string> command = {std::filesystem::read_symlink("/proc/self/exe"), "--child", name};
    command.insert(command.end(), options.arguments.begin(), options.arguments.end());
    return run_program(command, options);
}

child_result run_python(const std::string &script, child_options options) {
    if (std::string library = library_to_preload(); !library.empty())
        options.environment.emplace_back("LD_PRELOAD", library);
    return run_program({python_executable(), "-c", script}, options);
}

void check_aborts(const std::string &name, std::initializer_list<const char *> words, child_options options) {
    child_result result = run_child(name, std::move(options));
    INFO(name << ": " << result.describe());
    CHECK(result.signal == SIGABRT);
    // What happened, which rule, what to do: three sentences, by the one voice of the library.
    CHECK(result.output.find("libpyattach: misuse: ") != std::string::npos);
    for (const char *word : words) {
        INFO("the message must contain \"" << word << "\"");
        CHECK(result.output.find(word) != std::string::npos);
    }
}

void check_succeeds(const child_result &result) {
    INFO(result.describe());
    CHECK(result.exit_code == 0);
}

void check_succeeds(const std::string &name, child_options options) {
    INFO(name);
    check_succeeds(run_child(name, std::move(options)));
}

const std::vector<std::string> &child_arguments() { return arguments_of_child; }

void end_child() noexcept {
    std::fflush(nullptr);
    std::_Exit(0);
}

int child_main(const std::string &name, std::vector<std::string> arguments) {
    rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    auto found = scenarios().find(name);
    if (found == scenarios().end()) {
        std::fprintf(stderr, "no child scenario is called \"%s\"\n", name.c_str());
        return 71;
    }
    arguments_of_child = std::move(arguments);
    try {
        found->second();
    } catch (const std::exception &error) {
        std::fprintf(stderr, "the child failed: %s\n", error.what());
        std::fflush(nullptr);
        std::_Exit(70); // with whatever threads it left behind
    }
    return 0;
}

child_registration::child_registration(const char *name, void (*function)()) {
    if (!scenarios().emplace(name, function).second) {
        std::fprintf(stderr, "two child scenarios are called \"%s\"\n", name);
        std::abort();
    }
}

} // namespace support
