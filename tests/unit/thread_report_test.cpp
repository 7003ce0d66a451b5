// Reports of threads while the lists are locked.
#include "core/thread_report.hpp"

#include <string>

#include "core/interpreter.hpp"
#include "core/thread.hpp"
#include "support/catch.hpp"
#include "support/threads.hpp"

using namespace pyattach;

namespace {

std::string report() {
    std::string text;
    report_threads([](const char *line, size_t length,
                      void *to) noexcept { static_cast<std::string *>(to)->append(line, length); },
                   &text);
    return text;
}

} // namespace

TEST_CASE("a report that finds a list locked says so, on the thread that has locked it and on others") {
    const std::string busy = "pyattach: 0 threads; 0 attached, 0 waiting, 0 detached, 0 idle; there are more, but the "
                             "list is being changed just now\n";
    lock_registry();
    CHECK(report() == busy);
    support::run_on_thread([&] { CHECK(report() == busy); });
    unlock_registry();
    lock_threads(-1);
    CHECK(report() == busy);
    support::run_on_thread([&] { CHECK(report() == busy); });
    unlock_threads();
    CHECK(report() == "pyattach: 0 threads; 0 attached, 0 waiting, 0 detached, 0 idle\n");
}
