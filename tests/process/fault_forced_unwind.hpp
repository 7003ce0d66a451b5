// Forced unwinds: CPython ends a thread in a call that the library makes. Each such call in turn, in a fork of its own.
#pragma once

#include <memory>
#include <vector>
#include "support/tstate_counts.hpp"
#include "fault_fork.hpp"
#include "pyattach/pyattach.hpp"
#include "support/sub_interpreter.hpp"
#include "support/host.hpp"

using namespace support;
using faults::on;

namespace {

int threads_ended = 0;

// `call` on a thread of its own, which is ended in the call of CPython's after `before`. The name of that; NULL: there
// were not so many.
const char *end_in(int before, on thread, const std::function<void()> &call) {
    // Shared with a thread that stays.
    auto ready = std::make_shared<latch>("a thread to stand where it is to be ended");
    auto may_begin = std::make_shared<latch>("permission to be ended");
    task subject("a thread that is ended", [=] {
        faults::standing stands(thread);
        ready->count_down();
        may_begin->wait();
        call();
        faults::end_thread_at(-1);
    });
    ready->wait();
    faults::end_thread_at(before);
    may_begin->count_down();
    wait_until("a thread to be ended", [&] { return subject.has_returned() || faults::ended_at(); });
    const char *name = faults::ended_at();
    if (!name) {
        subject.join();
        return nullptr;
    }
    subject.wait_until_asleep();
    EXPECT_SENTENCE(!subject.has_returned(), std::string("ended in ") + name + " the thread went on");
    subject.abandon();
    ++threads_ended;
    return name;
}

// The names of the functions in which the thread was ended.
std::set<std::string> end_everywhere_in(
    on thread, const std::function<void()> &call, const std::function<void()> &before_each = [] {}) {
    std::set<std::string> names;
    for (int before = 0; before < 500; ++before) {
        before_each();
        const char *name = end_in(before, thread, call);
        if (!name)
            return names;
        names.insert(name);
        attached here; // others can go on
        EXPECT(eval_int("1 + 1") == 2);
    }
    support::fail(__FILE__, __LINE__, "it never gets through");
}

// Each in a fork of a process in which a host has started Python.
void ended_first_contact(on thread, const char *preparation = "pass") {
    start_as_host();
    EXPECT(cpython<int(const char *)>("PyRun_SimpleString")(preparation) == 0);
    pyattach_set_exit_timeout(1000000);
    faults::for_each_failure(faults::lasting::once, [&](int before, faults::lasting) {
        const char *name = nullptr;
        {
            foreign_detach gap;
            name = end_in(before, thread, [] { (void)try_to_attach(); });
        }
        // Up to 3.12 it waits at the end for the thread that imported it first, which CPython ends only after that.
        EXPECT(cpython<int(const char *)>("PyRun_SimpleString")("import sys; sys.modules.pop('threading', None)") == 0);
        EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
        return name;
    });
}

// In one process, while Python runs. Python then finalizes, although the parked threads stay inside for ever.
struct ended_threads {
    ended_threads() {
        start_python();
        pyattach_set_exit_timeout(1000000);
        attached here;
        run("class Probe:\n"
            "    def __index__(self): return 7\n"
            "    def __del__(self): pass\n"
            "probe = Probe()\n");
        probe = eval("probe").release();
    }
    ~ended_threads() {
        pyattach_status status = pyattach_interpreter_stop();
        if (status != (threads_ended ? PYATTACH_TIMED_OUT : PYATTACH_OK))
            give_up(std::string("Python to end beside threads inside: ") + pyattach_status_message(status));
        end_child();
    }
    // Free-threaded 3.13 crashes at its end over a state that is cleared and not deleted, and debug builds assert that
    // there is none. They do not refuse a thread between the two.
    static void leave_states_half_deleted() {
        if (is_free_threaded() || is_debug_build())
            end_child();
    }
    object *probe;
};

void expect_among(const std::set<std::string> &names, std::initializer_list<const char *> wanted) {
    for (const char *name : wanted)
        EXPECT_SENTENCE(names.count(name) == 1, std::string("no thread was ended in ") + name);
}

} // namespace
