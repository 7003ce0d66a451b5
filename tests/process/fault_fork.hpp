// Failures one after the other, each in a process of its own, which is forked just before.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

#include "fault_sweep.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"

namespace faults {

constexpr int is_over = 99;

// Runs `once` in a fork, with more and more calls succeeding before one fails, until none is left to fail. `once` says
// what failed. Prints the names.
inline void for_each_failure(lasting how_long, const std::function<const char *(int before, lasting)> &once) {
    // A run may make fewer calls than the run before, since other threads make some of them. So the sweep is over only
    // once nothing has failed in several runs.
    constexpr int runs_without_failure = 8;
    int over = 0;
    for (int before = 0; before < 500; ++before) {
        std::fflush(nullptr);
        pid_t child = fork();
        EXPECT(child >= 0);
        if (child == 0) {
            alarm(50);
            int status = 1;
            try {
                const char *failed = once(before, how_long);
                if (failed)
                    std::printf("failed: %s\n", failed);
                status = failed ? 0 : is_over;
            } catch (const std::exception &error) {
                std::fprintf(stderr, "with the call after %d failing: %s\n", before, error.what());
            }
            std::fflush(nullptr);
            _exit(status);
        }
        int status = 0;
        EXPECT(waitpid(child, &status, 0) == child);
        EXPECT_SENTENCE(WIFEXITED(status), "the call after " + std::to_string(before) + " failing, signal " +
                                               std::to_string(WTERMSIG(status)) + " ended the process");
        over = WEXITSTATUS(status) == is_over ? over + 1 : 0;
        if (over == runs_without_failure)
            return;
        if (over)
            continue;
        EXPECT_SENTENCE(WEXITSTATUS(status) == 0, "it did not go well");
    }
    support::fail(__FILE__, __LINE__, "it never succeeds");
}

inline lasting how_long() { return support::child_arguments().at(0) == "once" ? lasting::once : lasting::from_then_on; }

// While all of Python fails, an attach waits for it to become usable.
inline of what_fails(lasting lasts) {
    return lasts == lasting::once
               ? of::all
               : static_cast<of>(static_cast<unsigned>(of::all) & ~static_cast<unsigned>(of::python));
}

// The names that failed in the child, if the checks passed there.
inline std::set<std::string> names_of(const std::string &child, const char *lasts = "once") {
    support::child_options options;
    options.arguments = {lasts};
    options.deadline = std::chrono::seconds(300);
    support::child_result result = support::run_child(child, options);
    INFO(child << ", " << lasts << ": " << result.describe());
    REQUIRE(result.exit_code == 0);
    std::set<std::string> names;
    std::istringstream lines(result.output);
    for (std::string line; std::getline(lines, line);)
        names.insert(line.rfind("failed: ", 0) == 0 ? line.substr(8) : line);
    return names;
}
// Each of the names fails in a sweep. Which call comes after a number of others differs from run to run, because other
// threads make some of them. So one sweep may miss a name that comes once, and several are made if need be.
inline std::set<std::string> check_sweep(const std::string &child, std::initializer_list<const char *> wanted,
                                         const char *lasts = "once") {
    constexpr int sweeps = 5;
    std::set<std::string> names;
    auto is_missing = [&names](const char *name) { return names.count(name) == 0; };
    for (int i = 0; i < sweeps && (i == 0 || std::any_of(wanted.begin(), wanted.end(), is_missing)); ++i)
        names.merge(names_of(child, lasts));
    for (const char *name : wanted) {
        INFO(name);
        CHECK(names.count(name) == 1);
    }
    return names;
}

} // namespace faults
