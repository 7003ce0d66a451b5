// What the message handler is told.
#include "base/diagnostics.hpp"

#include <cstring>
#include <string>

#include "support/catch.hpp"
#include "support/threads.hpp"

using pyattach::report;
using pyattach::set_message_handler;

namespace {

std::string heard;
void hear(const char *message, void *arg) {
    heard += message;
    ++*static_cast<int *>(arg);
}

} // namespace

TEST_CASE("a report reaches the handler, formatted, with its argument") {
    int times = 0;
    heard.clear();
    report("nobody listens to %s", "this");
    set_message_handler(hear, &times);
    report("%s lacks %d things", "it", 3);
    CHECK(heard == "it lacks 3 things");
    CHECK(times == 1);
    set_message_handler(nullptr, nullptr);
    report("again nobody");
    CHECK(times == 1);
}

TEST_CASE("a report of any length arrives, cut if need be") {
    int times = 0;
    heard.clear();
    set_message_handler(hear, &times);
    std::string text(5000, 'x');
    report("%s", text.c_str());
    set_message_handler(nullptr, nullptr);
    CHECK(heard.size() >= 1000);
    CHECK(heard.size() <= 5000);
    CHECK(heard == text.substr(0, heard.size()));
}

TEST_CASE("a handler may set another handler, and report: nothing is locked meanwhile") {
    static int times;
    times = 0;
    set_message_handler(
        [](const char *, void *) {
            ++times;
            set_message_handler([](const char *, void *) { ++times; }, nullptr);
            report("from inside");
        },
        nullptr);
    support::run_on_thread([] { report("from outside"); });
    set_message_handler(nullptr, nullptr);
    CHECK(times == 2);
}
