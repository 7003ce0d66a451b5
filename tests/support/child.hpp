// Scenarios that end, abort or spoil a process: each runs in a process of its own, which is this executable started
// again.
//
//     CHILD("ends a scope twice") { ... }                          what the child does, in place of the tests; EXPECT
//     works in it TEST_CASE("...") { check_aborts("ends a scope twice", {"ended"}); }
#pragma once

#include <chrono>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace support {

struct child_options {
    std::vector<std::string> arguments{};
    std::vector<std::pair<std::string, std::string>>
        environment{}; // in addition; an empty value takes the variable away
    std::chrono::seconds deadline{60};
};

struct child_result {
    int exit_code = -1; // of a child that exited
    int signal = 0;     // that killed the child; SIGKILL with `timed_out` was ours
    bool timed_out = false;
    std::string output; // standard output and standard error together
    std::string describe() const;
};

child_result run_program(const std::vector<std::string> &command, const child_options & = {});
child_result run_child(const std::string &name, child_options = {});
// The Python under test, which may load the library.
child_result run_python(const std::string &script, child_options = {});

// With Catch2: the child aborts, and says each of `words` on the way.
void check_aborts(const std::string &name, std::initializer_list<const char *> words, child_options = {});
// With Catch2: the child, or the program, exits with 0.
void check_succeeds(const std::string &name, child_options = {});
void check_succeeds(const child_result &);

// In a child: what came after its name.
const std::vector<std::string> &child_arguments();
// In a child: ends the process now, without exit handlers. For scenarios that leave threads parked.
[[noreturn]] void end_child() noexcept;

// For main(): runs the scenario named; returns the exit code.
int child_main(const std::string &name, std::vector<std::string> arguments);

struct child_registration {
    child_registration(const char *name, void (*function)());
};

} // namespace support

#define SUPPORT_JOIN_(a, b) a##b
#define SUPPORT_JOIN(a, b) SUPPORT_JOIN_(a, b)
#define SUPPORT_CHILD(name, number)                                                                                    \
    static void SUPPORT_JOIN(child_, number)();                                                                        \
    static const ::support::child_registration SUPPORT_JOIN(registered_, number){name, SUPPORT_JOIN(child_, number)};  \
    static void SUPPORT_JOIN(child_, number)()
#define CHILD(name) SUPPORT_CHILD(name, __COUNTER__)
