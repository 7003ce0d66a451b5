// What the message handler receives.
#include "base/diagnostics.hpp"

#include <cstring>
#include <string>

#include "support/catch.hpp"
#include "support/threads.hpp"

using pyattach::report;
using pyattach::set_message_handler;

namespace {

std::string messages;
void receive(const char *message, void *arg) {
    messages += message;
    ++*static_cast<int *>(arg);
}

} // namespace

TEST_CASE("a report reaches the handler, formatted, with its argument") {
    int times = 0;
    messages.clear();
    report("no handler receives %s", "this");
    set_message_handler(receive, &times);
    report("%s lacks %d things", "it", 3);
    CHECK(messages == "it lacks 3 things");
    CHECK(times == 1);
    set_message_handler(nullptr, nullptr);
    report("no handler again");
    CHECK(times == 1);
}

TEST_CASE("a report of any length arrives, truncated if necessary") {
    int times = 0;
    messages.clear();
    set_message_handler(receive, &times);
    std::string text(5000, 'x');
    report("%s", text.c_str());
    set_message_handler(nullptr, nullptr);
    CHECK(messages.size() >= 1000);
    CHECK(messages.size() <= 5000);
    CHECK(messages == text.substr(0, messages.size()));
}

TEST_CASE("a handler may set another handler and report, because no lock is held during the call") {
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
