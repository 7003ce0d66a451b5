// The label of an attached scope: an exit that times out names it behind the thread's name.
#include "support/attach_options.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <cstddef>
#include <pthread.h>

using namespace support;

namespace {

// A thread that stays inside the scopes that `begin` begins, by the name "stuck", and cannot leave them.
void start_stuck_thread(const std::function<void()> &begin) {
    static latch never("never");
    latch inside("the stuck thread to be inside");
    task stuck("the stuck thread", [&] {
        pthread_setname_np(pthread_self(), "stuck");
        begin();
        cpython<void *()>("PyEval_SaveThread")();
        inside.count_down();
        for (;;)
            never.wait();
    });
    inside.wait();
    stuck.abandon();
}

void begin_with(const pyattach_attach_options &options) {
    auto *scope = new pyattach_attached; // for ever
    EXPECT(pyattach_attached_begin_with(scope, &options) == PYATTACH_OK);
}

// What the message says behind the thread's name.
std::string told_by_exit() {
    messages said;
    pyattach_set_exit_timeout(20000000);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT);
    const std::string text = said.text();
    const size_t name = text.find("(stuck)");
    EXPECT_SENTENCE(name != std::string::npos, text);
    const size_t from = name + std::string("(stuck)").size();
    return text.substr(from, text.find_first_of(",\n", from) - from);
}

const std::string long_label(200, 'x');

struct shown {
    const char *name;
    std::function<void()> begin;
    std::string label;
};
const shown all_shown[] = {
    {"no label", [] { begin_with(attach_options(true)); }, ""},
    {"a label", [] { begin_with(attach_options(false, "reading frames")); }, ": reading frames"},
    {"a label with no_drain", [] { begin_with(attach_options(true, "reading")); }, ": reading"},
    {"the label of a nested scope",
     [] {
         begin_with(attach_options(true));
         begin_with(attach_options(false, "nested"));
     },
     ": nested"},
    {"the outermost of two",
     [] {
         begin_with(attach_options(false, "outer"));
         begin_with(attach_options(false, "inner"));
     },
     ": outer"},
    {"a label inside a detached scope",
     [] {
         begin_with(attach_options(false));
         EXPECT(pyattach_detached_begin(new pyattach_detached) == PYATTACH_OK);
         begin_with(attach_options(false, "inside"));
     },
     ": inside"},
    {"the labels of scopes that have ended",
     [] {
         {
             attached_with here(attach_options(false, "ended"));
             attached_with nested(attach_options(false, "nested"));
         }
         begin_with(attach_options(false));
         attached_with nested(attach_options(false, "nested"));
     },
     ""},
    {"the label of the outer one of two that ended first",
     [] {
         begin_with(attach_options(false));
         auto *nested = new pyattach_attached;
         const pyattach_attach_options options = attach_options(false, "first");
         EXPECT(pyattach_attached_begin_with(nested, &options) == PYATTACH_OK);
         begin_with(attach_options(false, "second"));
         pyattach_attached_end(nested);
     },
     ""},
    {"a label that the struct does not hold",
     [] {
         pyattach_attach_options options = attach_options(true, "unread");
         options.struct_size = offsetof(pyattach_attach_options, label);
         begin_with(options);
     },
     ""},
    {"a long label", [] { begin_with(attach_options(false, long_label.c_str())); }, ": " + long_label.substr(0, 63)},
};

} // namespace

CHILD("a stuck thread with labels") {
    start_python();
    for (const shown &each : all_shown)
        if (child_arguments()[0] == each.name) {
            start_stuck_thread(each.begin);
            const std::string label = told_by_exit();
            EXPECT_SENTENCE(label == each.label || label == each.label + ".", "shown: <" + label + ">");
            end_child();
        }
    EXPECT(!"such a row");
}
TEST_CASE("an exit that times out shows the label of each thread inside") {
    for (const shown &each : all_shown) {
        INFO(each.name);
        check_succeeds("a stuck thread with labels", {{each.name}});
    }
}
