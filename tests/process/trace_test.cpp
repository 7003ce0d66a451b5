// A trace over the life of a process: an exit time-out, a misuse, a fork, a second Python, an exit under load.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/fork.hpp"
#include "support/scopes.hpp"
#include "support/temporary_folder.hpp"
#include "support/threads.hpp"

#include <fstream>
#include <pthread.h>
#include <sstream>

using namespace support;

namespace {

void start_trace(const char *dump_path = nullptr) {
    pyattach_trace_options options = {};
    options.struct_size = sizeof options;
    options.dump_path = dump_path;
    EXPECT(pyattach_trace_start(&options) == PYATTACH_OK);
}

std::string read_file(const std::string &path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

std::string written() {
    temporary_folder folder;
    const std::string path = folder.path + "/trace.json";
    EXPECT(pyattach_trace_write(path.c_str(), PYATTACH_TRACE_CHROME) == PYATTACH_OK);
    return read_file(path);
}

bool has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }
int count(const std::string &text, const std::string &part) {
    int found = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
        ++found;
    return found;
}

void attach_as(const char *name) {
    run_on_thread([name] {
        pthread_setname_np(pthread_self(), name);
        attached here;
    });
}

// In the child of a raw fork, where no other thread may attach.
void attach_own(const char *name) {
    pthread_setname_np(pthread_self(), name);
    attached here;
}

} // namespace

CHILD("times out with a thread inside") {
    start_trace(child_arguments()[0].c_str());
    start_python();
    latch never("never"), inside("the thread to be inside");
    task stuck("the stuck thread", [&] {
        pthread_setname_np(pthread_self(), "stuck");
        attached here;
        // Other code has detached the thread, which an exit cannot know.
        foreign_detach gap;
        inside.count_down();
        for (;;)
            never.wait();
    });
    inside.wait();
    stuck.abandon();
    pyattach_set_exit_timeout(20000000);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT);
    end_child();
}

TEST_CASE("at an exit time-out the trace is written, and says for whom the exit waited") {
    temporary_folder folder;
    child_options options;
    options.arguments = {folder.path + "/dump.json"};
    check_succeeds("times out with a thread inside", options);
    const std::string text = read_file(options.arguments[0]);
    CHECK(has(text, "\"exit: timed out\""));
    CHECK(has(text, "\"exit waits for stuck\""));
    CHECK(has(text, "\"gate: closed\""));
}

CHILD("ends a scope twice while a trace records") {
    start_trace(child_arguments()[0].c_str());
    start_python();
    attach_as("earlier");
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
    pyattach_attached_end(&scope);
    pyattach_attached_end(&scope);
}

TEST_CASE("before the library aborts, the trace is written") {
    temporary_folder folder;
    child_options options;
    options.arguments = {folder.path + "/dump.json"};
    check_aborts("ends a scope twice while a trace records", {"ended already"}, options);
    const std::string text = read_file(options.arguments[0]);
    CHECK(has(text, "\"name\":\"earlier\""));
    CHECK(has(text, "\n]}\n"));
}

CHILD("forks while a trace records") {
    start_python();
    start_trace();
    attach_as("parent's");
    {
        attached here;
        fork_in_python([] {
            detached gap;
            attach_as("child's");
            const std::string text = written();
            EXPECT(has(text, "\"forked\"") && has(text, "\"name\":\"child's\"") && !has(text, "parent's"));
            EXPECT(pyattach_trace_stop() == PYATTACH_OK);
            start_trace();
            attach_as("later");
            EXPECT(has(written(), "\"name\":\"later\"") && !has(written(), "child's"));
        });
    }
    fork_plainly([] {
        attach_own("child's");
        EXPECT(has(written(), "\"name\":\"child's\"") && !has(written(), "parent's"));
    });
    const std::string text = written();
    EXPECT(has(text, "parent's") && !has(text, "\"forked\"") && !has(text, "child's"));
    end_child();
}

TEST_CASE("a fork child goes on with a trace of its own, and the parent with its own") {
    check_succeeds("forks while a trace records");
}

CHILD("stops a trace and forks") {
    start_python();
    start_trace();
    attach_as("parent's");
    EXPECT(pyattach_trace_stop() == PYATTACH_OK);
    fork_plainly([] {
        EXPECT(pyattach_trace_write("/dev/null", PYATTACH_TRACE_CHROME) == PYATTACH_INVALID);
        start_trace();
        attach_own("child's");
        EXPECT(has(written(), "\"name\":\"child's\""));
    });
    EXPECT(has(written(), "parent's"));
    end_child();
}

TEST_CASE("a fork child does not have what the parent recorded before") { check_succeeds("stops a trace and forks"); }

CHILD("traces two Pythons") {
    start_trace();
    for (int life = 0; life < 2; ++life) {
        start_python();
        attach_as(life ? "second" : "first");
        EXPECT(!stop_python());
    }
    const std::string text = written();
    EXPECT(has(text, "\"name\":\"first\"") && has(text, "\"name\":\"second\""));
    EXPECT(count(text, "\"gate: ended\"") == 2);
}

CHILD("is refused before there is a Python") {
    start_trace();
    load_python();
    EXPECT(try_to_attach() == PYATTACH_NOT_INITIALIZED);
    EXPECT(has(written(), "\"refused: "));
}

TEST_CASE("a refusal before there is a Python is recorded") { check_succeeds("is refused before there is a Python"); }

CHILD("ends Python under load") {
    start_python();
    start_trace();
    std::atomic<bool> is_over{false};
    std::vector<std::unique_ptr<task>> all;
    latch busy("the threads to be busy", 4);
    for (int i = 0; i < 4; ++i)
        all.push_back(std::make_unique<task>("a busy thread", [&] {
            for (int round = 0; !is_over; ++round) {
                if (try_to_attach() != PYATTACH_OK)
                    return;
                if (round == 10)
                    busy.count_down();
            }
        }));
    busy.wait();
    EXPECT(!stop_python());
    for (auto &one : all)
        one->join();
    const std::string text = written();
    EXPECT(count(text, "\"refused: ") == 4);
    EXPECT(has(text, "\"gate: closed\"") && has(text, "\"gate: ended\""));
    EXPECT(pyattach_trace_stop() == PYATTACH_OK);
}

TEST_CASE("a trace goes on while Python ends under load, and has each refusal") {
    check_succeeds("ends Python under load");
}

TEST_CASE("a trace goes on when Python ends and starts again") { check_succeeds("traces two Pythons"); }
