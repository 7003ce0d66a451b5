// Forking, and threads that are there meanwhile. For the tests of forks.
#pragma once

#include <cstdio>
#include <functional>
#include <memory>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "support/scopes.hpp"
#include "support/threads.hpp"

namespace support {

inline void expect_exit_0(pid_t child) {
    int status = 0;
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT_SENTENCE(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with " + std::to_string(status));
}

// Attached, in whatever way. Returns twice, as fork() does.
inline pid_t fork_by_os() {
    auto *long_of = cpython<long long(object *)>("PyLong_AsLongLong");
    auto *import = cpython<object *(const char *)>("PyImport_ImportModule");
    auto *call = cpython<object *(object *, const char *, const char *, ...)>("PyObject_CallMethod");
    object *os = import("os");
    object *result = call(os, "fork", nullptr);
    EXPECT(result);
    auto child = static_cast<pid_t>(long_of(result));
    auto *decref = cpython<void(object *)>("Py_DecRef");
    decref(result);
    decref(os);
    return child;
}

// In a forked child: runs `live` and ends the process, with 0 unless `live` throws. SIGALRM ends a child that hangs.
[[noreturn]] inline void live_in_child(const std::function<void()> &live, unsigned seconds = 20) {
    alarm(seconds);
    try {
        live();
    } catch (const std::exception &error) {
        std::fprintf(stderr, "in the forked child: %s\n", error.what());
        std::_Exit(9);
    }
    std::fflush(stdout);
    std::_Exit(0);
}

// Attached; as os.fork() does it. In the child `live` runs, still attached, and what it throws fails the parent.
inline void fork_in_python(const std::function<void()> &live) {
    run("import warnings; warnings.simplefilter('ignore')");
    pid_t child = fork_by_os();
    if (child == 0)
        live_in_child(live);
    detached gap;
    expect_exit_0(child);
}

// As a program does it that does not use Python: without its hooks.
inline void fork_plainly(const std::function<void()> &live) {
    std::fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        live_in_child(live);
    expect_exit_0(child);
}

inline void use_python() {
    attached here;
    EXPECT(eval_int("6 * 7") == 42);
}

// Threads that are where they are while something happens elsewhere: attached before, then warm, or in a gap.
class bystanders {
  public:
    explicit bystanders(int number) : there_("the bystanders to be there", number) {
        for (int i = 0; i < number; ++i)
            tasks_.push_back(std::make_unique<task>("a bystander to end", [this, i] {
                ref reference;
                {
                    attached here;
                    reference = new_object();
                    if (i % 2) {
                        detached gap;
                        reference.drop(); // queued
                        there_.count_down();
                        may_go_.wait();
                    }
                }
                if (i % 2 == 0) {
                    reference.drop();
                    there_.count_down();
                    may_go_.wait();
                }
            }));
        there_.wait();
    }
    ~bystanders() { may_go_.count_down(); } // also of a test that failed
    void let_go() {
        may_go_.count_down();
        for (auto &thread : tasks_)
            thread->join();
    }

  private:
    latch there_, may_go_{"permission to go"};
    std::vector<std::unique_ptr<task>> tasks_;
};

} // namespace support
