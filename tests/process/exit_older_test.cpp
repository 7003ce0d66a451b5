// atexit callbacks that are older than the library's own: each runs once, in atexit's order, whoever ends Python.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/host.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "process/interpreter_kinds.hpp"

#include <atomic>
#include <cstdio>
#include <string>

using namespace support;

namespace {

// Callbacks of all kinds; each prints its name.
const char *const callbacks_of_all_kinds = R"(
import atexit, functools, sys
def say(name, *, end='\n'): print(name, end=end, flush=True)
class Callable:
    def __init__(self, name): self.name = name
    def __call__(self): say(self.name)
    def method(self, end): say(self.name, end=end)
class Equal(Callable):
    def __eq__(self, other): return NotImplemented if not isinstance(other, Equal) else True
    __hash__ = None
def fail(name): say(name); raise ValueError(name)
twice = functools.partial(say, 'twice')
def removed(): say('removed')
def register(age):
    atexit.register(say, age + ' function')
    atexit.register(Callable(age + ' method').method, end='\n')
    atexit.register(twice)
    atexit.register(removed)
    atexit.unregister(removed)
    atexit.register(fail, age + ' failure')
    atexit.register(Callable(age + ' object'))
    atexit.register(Equal(age + ' equal'))
    atexit.register(registers, age)
def registers(age): say(age + ' registers'); atexit.register(say, 'never')
)";

std::string in_order(const std::string &age) {
    std::string text;
    for (const char *name : {" registers", " equal", " object", " failure"})
        text += age + name + "\n";
    return text + "twice\n" + age + " method\n" + age + " function\n";
}

// What the callbacks of a child printed, without the reports of the failures.
std::string lines_of(const child_result &result) {
    std::string lines;
    for (size_t begin = 0, end; (end = result.output.find('\n', begin)) != std::string::npos; begin = end + 1) {
        const std::string line = result.output.substr(begin, end - begin);
        for (const char *word : {"old ", "new ", "twice", "removed", "never", "gate"})
            if (line.rfind(word, 0) == 0)
                lines += line + "\n";
    }
    return lines;
}

size_t count_of(const std::string &text, const std::string &word) {
    size_t count = 0;
    for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
        ++count;
    return count;
}

void say_that_gate_closes(pyattach_interpreter *interp) {
    auto call = [](pyattach_interpreter *, void *) { std::puts("gate closes"), std::fflush(stdout); };
    EXPECT(pyattach_exit_callback_add(interp, call, nullptr) == PYATTACH_OK);
}

bool calls_older_early() { return python_version() < 0x030e0000; }

} // namespace

CHILD("older: main") {
    start_as_host();
    run_as_host(callbacks_of_all_kinds);
    run_as_host("register('old')");
    say_that_gate_closes(pyattach_interpreter_current());
    run_as_host("register('new')");
    if (child_arguments().at(0) == "stop") {
        EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    } else {
        EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    }
}
TEST_CASE("each atexit callback runs once and in order, the older ones before the gate closes where that is possible") {
    load_python();
    for (const char *way : {"stop", "Py_FinalizeEx"}) {
        child_result result = run_child("older: main", {{way}});
        check_succeeds(result);
        const bool are_early = calls_older_early() || way[0] == 's';
        const std::string expected =
            in_order("new") + (are_early ? in_order("old") + "gate closes\n" : "gate closes\n" + in_order("old"));
        INFO(way << ":\n" << result.output);
        CHECK(lines_of(result) == expected);
        CHECK(count_of(result.output, "ValueError: old failure") == 1);
        CHECK(count_of(result.output, "ValueError: new failure") == 1);
    }
}

CHILD("older: sub-interpreter") {
    start_python();
    attached here;
    sub_interpreter sub(kind_asked_for());
    sub.inside([] {
        run_as_host(callbacks_of_all_kinds);
        run_as_host("register('old')");
    });
    say_that_gate_closes(sub.handle());
    sub.inside([] { run_as_host("register('new')"); });
    sub.end();
}
TEST_CASE("each atexit callback of a sub-interpreter runs once and in order") {
    load_python();
    for (auto kind : kinds()) {
        child_result result =
            run_child("older: sub-interpreter", {{kind == sub_interpreter::own_gil ? "own" : "legacy"}});
        check_succeeds(result);
        const std::string expected = in_order("new") + (calls_older_early() ? in_order("old") + "gate closes\n"
                                                                            : "gate closes\n" + in_order("old"));
        INFO(result.output);
        CHECK(lines_of(result) == expected);
    }
}

CHILD("older: waits for a native thread") {
    start_as_host();
    run_as_host(
        "import atexit, threading\nflushed = threading.Event()\n"
        "def flush(): print('old', 'flushed' if begin_flush() and flushed.wait(60) else 'refused', flush=True)\n"
        "atexit.register(flush)");
    static latch may_flush("the callback to be called");
    static std::atomic<pyattach_status> outcome{PYATTACH_INVALID};
    pyattach_interpreter *main = pyattach_interpreter_current();
    task exporter("the thread that flushes to end", [main] {
        may_flush.wait();
        pyattach_attached scope;
        pyattach_status status = pyattach_attached_begin_in(&scope, main);
        if (status == PYATTACH_OK) {
            run("flushed.set()");
            pyattach_attached_end(&scope);
        }
        outcome = status;
    });
    {
        attached here;
        publish("begin_flush", native_function([] { may_flush.count_down(); }));
        run("begin = begin_flush\nbegin_flush = lambda: begin() is None");
    }
    cpython<int()>("Py_FinalizeEx")();
    exporter.join();
    EXPECT(outcome == PYATTACH_OK);
}
TEST_CASE("an older atexit callback may wait for a native thread that attaches, where it runs before the gate closes") {
    load_python();
    if (!calls_older_early())
        return;
    child_result result = run_child("older: waits for a native thread");
    check_succeeds(result);
    CHECK(result.output == "old flushed\n");
}
