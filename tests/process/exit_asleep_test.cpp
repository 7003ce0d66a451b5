// Exit with threads that are attached as far as the library knows, and sleep in a call that has detached them.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"
#include "process/interpreter_kinds.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

using namespace support;

namespace {

constexpr long long ms = 1000000;

// A thread that executes Python statements which sleep, attached by the library.
class sleeping_thread {
  public:
    explicit sleeping_thread(std::string statements, pyattach_interpreter *interp = nullptr)
        : task_(std::make_unique<task>("the thread that sleeps in Python to end", [this, statements, interp] {
              pthread_setname_np(pthread_self(), "sleeper");
              pyattach_attached scope;
              EXPECT((interp ? pyattach_attached_begin_in(&scope, interp) : pyattach_attached_begin(&scope)) ==
                     PYATTACH_OK);
              id_ = static_cast<pid_t>(syscall(SYS_gettid));
              run(statements);
              has_returned_ = true;
              pyattach_attached_end(&scope);
          })) {
        wait_until("the thread to sleep", [this] { return id_ && is_asleep(id_); });
    }
    bool has_returned() const { return has_returned_; }
    // Whether it sleeps, or has ended.
    bool is_at_rest() const { return is_asleep(id_); }
    void join() { task_->join(); }

  private:
    std::atomic<pid_t> id_{0};
    std::atomic<bool> has_returned_{false};
    std::unique_ptr<task> task_;
};

const char *const ways_to_sleep[] = {
    "import time; time.sleep(1000)",
    "import queue; queue.Queue().get()",
    "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); s.accept()",
};

void expect_told(const std::string &said) {
    EXPECT_SENTENCE(said.find("1 native thread has slept inside") != std::string::npos, said);
    EXPECT_SENTENCE(said.find("(sleeper)") != std::string::npos, said);
}

} // namespace

CHILD("asleep: in Python") {
    start_python();
    messages said;
    pyattach_set_exit_timeout(-1); // nothing but this rule ends the wait
    auto &sleeper = *new sleeping_thread(ways_to_sleep[std::stoi(child_arguments().at(0))]);
    if (child_arguments().at(1) == "stop") {
        EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    } else {
        cpython<int()>("PyGILState_Ensure")();
        EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    }
    expect_told(said.text());
    EXPECT(!sleeper.has_returned());
    end_child();
}
TEST_CASE("an exit leaves a thread that sleeps in Python's own calls after a second, and the message handler is told") {
    for (const char *way : {"0", "1", "2"})
        check_succeeds("asleep: in Python", {{way, "stop"}});
    check_succeeds("asleep: in Python", {{"1", "Py_FinalizeEx"}});
}

CHILD("asleep: wakes after the end") {
    start_python();
    pyattach_set_exit_timeout(-1);
    int ends[2];
    EXPECT(pipe(ends) == 0);
    auto &sleeper = *new sleeping_thread("import os; os.read(" + std::to_string(ends[0]) + ", 1)");
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(write(ends[1], "x", 1) == 1);
    wait_until("the thread to have woken", [&] {
        int unread = 1;
        return ioctl(ends[0], FIONREAD, &unread) == 0 && unread == 0;
    });
    wait_until("the thread to be at rest", [&] { return sleeper.is_at_rest(); });
    EXPECT(!sleeper.has_returned());
    end_child();
}
TEST_CASE("a thread that wakes after Python has ended is parked or ended by CPython, and nothing else happens") {
    check_succeeds("asleep: wakes after the end");
}

CHILD("asleep: wakes in time") {
    start_python();
    messages said;
    pyattach_set_exit_timeout(-1);
    int ends[2];
    EXPECT(pipe(ends) == 0);
    sleeping_thread sleeper("import os; os.read(" + std::to_string(ends[0]) + ", 1)");
    static int written_to = ends[1];
    auto wake = [](pyattach_interpreter *, void *) { EXPECT(write(written_to, "x", 1) == 1); };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), wake, nullptr) == PYATTACH_OK);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(sleeper.has_returned());
    sleeper.join();
    EXPECT_SENTENCE(said.text().empty(), said.text());
}
TEST_CASE("an exit waits for a thread that sleeps in Python and wakes within the second") {
    check_succeeds("asleep: wakes in time");
}

CHILD("asleep: waits for a thread that works") {
    start_python();
    messages said;
    pyattach_set_exit_timeout(-1);
    {
        attached here;
        run("import threading, time; done = threading.Event()");
    }
    static latch exit_began("the exit to begin");
    auto call = [](pyattach_interpreter *, void *) { exit_began.count_down(); };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), call, nullptr) == PYATTACH_OK);
    latch inside("the thread that works to be inside");
    task worker("the thread that works to end", [&] {
        attached here;
        {
            foreign_detach gap;
            inside.count_down();
            exit_began.wait();
        }
        run("until = time.monotonic() + 1.5\nwhile time.monotonic() < until: pass\ndone.set()");
    });
    inside.wait();
    sleeping_thread sleeper("done.wait()");
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(sleeper.has_returned());
    worker.join();
    sleeper.join();
    EXPECT_SENTENCE(said.text().find("slept inside") == std::string::npos, said.text());
}
TEST_CASE("a thread that sleeps is waited for as long as another thread inside works, and a second more") {
    check_succeeds("asleep: waits for a thread that works");
}

CHILD("asleep: keeps Python") {
    start_python();
    messages said;
    pyattach_set_exit_timeout(1500 * ms);
    static latch exit_began("the exit to begin"), is_kept("a thread to keep Python");
    latch inside("the thread to be inside"), may_let_go("the thread that keeps Python to be let go");
    task keeper("the thread that keeps Python to end", [&] {
        attached here;
        {
            foreign_detach gap;
            inside.count_down();
            exit_began.wait();
        }
        is_kept.count_down();
        may_let_go.wait(); // asleep in native code, and attached
    });
    inside.wait();
    auto call = [](pyattach_interpreter *, void *) {
        exit_began.count_down();
        is_kept.wait();
    };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), call, nullptr) == PYATTACH_OK);
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT);
    EXPECT_SENTENCE(said.text().find("slept inside") == std::string::npos, said.text());
    may_let_go.count_down();
    keeper.join();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
}
TEST_CASE("a thread that keeps Python while it sleeps is waited for up to the time-out") {
    check_succeeds("asleep: keeps Python");
}

CHILD("asleep: in a sub-interpreter") {
    start_python();
    messages said;
    pyattach_set_exit_timeout(-1);
    const bool may_leave = python_version() >= 0x030e0000;
    attached here;
    sub_interpreter sub(kind_asked_for());
    pyattach_interpreter *handle = sub.handle();
    int ends[2];
    EXPECT(pipe(ends) == 0);
    sleeping_thread *sleeper;
    {
        detached gap;
        sleeper = new sleeping_thread("import os; os.read(" + std::to_string(ends[0]) + ", 1)", handle);
    }
    // Up to 3.13 the end would abort the process with the thread inside, and so waits for longer than a second.
    task waker("the thread that wakes the other one", [&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(1500));
        if (!may_leave)
            EXPECT(write(ends[1], "x", 1) == 1);
    });
    sub.end();
    EXPECT(sleeper->has_returned() != may_leave);
    if (may_leave)
        expect_told(said.text());
    else
        EXPECT_SENTENCE(said.text().find("slept inside") == std::string::npos, said.text());
    waker.join();
    end_child();
}
TEST_CASE("the end of a sub-interpreter leaves a sleeping thread where CPython allows a tstate to be left") {
    check_each_kind("asleep: in a sub-interpreter");
}
