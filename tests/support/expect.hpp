// A check that works wherever Catch's do not: on other threads, in child processes, in helpers.
//
// Catch2 may be used by one thread at a time, and a child process has no Catch2 at all. EXPECT throws; the test case
// that waits for the thread, or main() of the child, reports it.
#pragma once

#include <stdexcept>
#include <string>

namespace support {

struct failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

[[noreturn]] inline void fail(const char *file, int line, const std::string &what) {
    throw failure(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

} // namespace support

#define EXPECT(condition) ((condition) ? void() : ::support::fail(__FILE__, __LINE__, "not so: " #condition))
#define EXPECT_SENTENCE(condition, sentence) ((condition) ? void() : ::support::fail(__FILE__, __LINE__, sentence))
