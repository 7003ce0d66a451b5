// Group 9: native and daemon threads during finalization.
#include "conformance/conformance.hpp"

#include <cstdlib>
#include <fstream>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/host.hpp"
#include "support/last_call.hpp"
#include "support/stuck_thread.hpp"

namespace {

constexpr long long ms = 1000000;
latch inside("the thread to be inside"), ended("the interpreter to end");
std::atomic<int> unwound{0};
struct unwinding {
    ~unwinding() { ++unwound; }
};

} // namespace

CHILD("hammers while the process exits") {
    start_as_host();
    auto *run_string = cpython<int(const char *, void *)>("PyRun_SimpleStringFlags");
    EXPECT(run_string("import sys\ndeep = None\nfor _ in range(300000): deep = [deep]\nsys.deep = deep; del deep",
                      nullptr) == 0);
    void *state = cpython<void *()>("PyEval_SaveThread")();
    latch attaching("the threads to attach", 3);
    std::vector<std::unique_ptr<task>> tasks;
    std::atomic<int> wrong{0};
    for (int i = 0; i < 3; ++i)
        tasks.push_back(std::make_unique<task>("an attaching thread to end", [&] {
            pyattach_status status = PYATTACH_OK;
            for (bool first = true; status == PYATTACH_OK; first = false) {
                pyattach_attached scope;
                status = pyattach_attached_begin(&scope);
                if (status == PYATTACH_OK)
                    pyattach_attached_end(&scope);
                if (first)
                    attaching.count_down();
            }
            wrong += status != PYATTACH_FINALIZING && status != PYATTACH_NOT_INITIALIZED;
        }));
    attaching.wait();
    cpython<void(void *)>("PyEval_RestoreThread")(state);
    EXPECT(cpython<int()>("Py_FinalizeEx")() == 0);
    for (auto &thread : tasks)
        thread->join();
    EXPECT(wrong == 0);
}
TEST_CASE("PyO3 test_hammer_attaching_in_thread") { check_succeeds("hammers while the process exits"); }

CHILD("sits in a detached scope when finalization runs") {
    start_python();
    pyattach_set_exit_timeout(ms);
    latch both_inside("both threads to be inside", 2);
    task refused("the thread that looks at its status to end", [&] {
        pyattach::attached here{std::nothrow};
        pyattach::detached gap{std::nothrow, here.token()};
        both_inside.count_down();
        ended.wait();
        EXPECT(gap.resume() == PYATTACH_FINALIZING);
    });
    task parked("the thread that does not look", [&] {
        unwinding must_not_run;
        pyattach::attached here{std::nothrow};
        {
            pyattach::detached gap{std::nothrow, here.token()};
            both_inside.count_down();
            ended.wait();
        }
        ++unwound;
    });
    both_inside.wait();
    EXPECT(!stop_python());
    ended.count_down();
    refused.join();
    parked.wait_until_asleep();
    EXPECT(!parked.has_returned());
    EXPECT(unwound == 0);
    parked.abandon();
    end_child();
}
TEST_CASE("PyO3 test_detach_during_finalization") { check_succeeds("sits in a detached scope when finalization runs"); }

CHILD("asks in thread-local destructors when finalization ran") {
    start_python();
    pyattach_set_exit_timeout(ms);
    static std::atomic<int> asked{0}, attached_then{0};
    static pyattach_status attaching_then = PYATTACH_OK;
    struct local_object {
        ~local_object() {
            ++asked;
            attached_then += pyattach_is_attached() || pyattach_attach_depth() != 0 || cpython_says_attached();
            attaching_then = try_to_attach();
        }
    };
    task thread("the thread to end", [] {
        static thread_local local_object local;
        (void)&local;
        pyattach::attached here{std::nothrow};
        pyattach::detached gap{std::nothrow, here.token()};
        inside.count_down();
        ended.wait();
        EXPECT(gap.resume() == PYATTACH_FINALIZING);
    });
    inside.wait();
    EXPECT(!stop_python());
    ended.count_down();
    thread.join();
    EXPECT(asked == 1);
    EXPECT(attached_then == 0);
    EXPECT(attaching_then == PYATTACH_NOT_INITIALIZED);
}
TEST_CASE("PyO3 issue 6404, at the end") { check_succeeds("asks in thread-local destructors when finalization ran"); }

namespace {

// A Python daemon thread in native code, in a detached scope.
void start_daemon(void (*body)()) {
    attached here;
    publish("body", native_function(body));
    run("import threading\nthreading.Thread(target=body, daemon=True).start()\n");
}

} // namespace

CHILD("a daemon thread caught by finalization") {
    start_python();
    pyattach_set_exit_timeout(-1); // it must not hold the end up
    static std::atomic<pid_t> comes_back{0};
    start_daemon([] {
        unwinding cleanup_handler;
        pyattach_detached gap;
        EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
        inside.count_down();
        ended.wait();
        comes_back = static_cast<pid_t>(syscall(SYS_gettid));
        if (pyattach_detached_end(&gap) == PYATTACH_OK)
            ++unwound; // ran on
    });
    inside.wait();
    EXPECT(!stop_python());
    ended.count_down();
    wait_until("the daemon thread to be parked, or to end", [] {
        std::ifstream file("/proc/self/task/" + std::to_string(comes_back.load()) + "/stat");
        std::string line;
        return comes_back != 0 && (!std::getline(file, line) || line.find(") S ", line.rfind(')')) != line.npos);
    });
    EXPECT(unwound == 0);
    end_child();
}
TEST_CASE("CPython test_finalize_daemon_thread_hang") { check_succeeds("a daemon thread caught by finalization"); }

CHILD("a daemon thread that re-attaches in a destructor") {
    start_python();
    start_daemon([] {
        pyattach::detached gap{pyattach::token::assume()};
        inside.count_down();
        ended.wait();
    }); // the destructor
    inside.wait();
    EXPECT(!stop_python());
    ended.count_down();
    std::exit(42); // with static destructors, while that thread is where it is
}
TEST_CASE("ext: daemon thread that re-attaches in a destructor while the process exits") {
    child_result result = run_child("a daemon thread that re-attaches in a destructor");
    INFO(result.describe());
    CHECK(result.exit_code == 42);
    CHECK(result.output == "");
}

TEST_CASE("CPython test_finalization_shutdown") {
    // CPython's test pauses twice instead. Here: finalization has begun, and the main thread sleeps although the GIL
    // is free.
    child_result result = run_python("import ctypes, os, threading\n"
                                     "library = ctypes.PyDLL('" TESTS_LIBRARY "')\n"
                                     "local = threading.local()\n"
                                     "ends = threading.Event()\n"
                                     "threading._register_atexit(ends.set)\n"
                                     "main = os.open(f'/proc/self/task/{os.getpid()}/stat', os.O_RDONLY)\n"
                                     "def is_asleep(): return os.pread(main, 512, 0).rpartition(b') ')[2][:1] == b'S'\n"
                                     "class Slow:\n"
                                     "    def __del__(self):\n"
                                     "        scope = ctypes.create_string_buffer(64)\n"
                                     "        assert library.pyattach_attached_begin(scope) == 0\n"
                                     "        while not all(is_asleep() for _ in range(100)): pass\n"
                                     "        library.pyattach_attached_end(scope)\n"
                                     "        os.write(1, b'destroyed')\n"
                                     "def body():\n"
                                     "    local.slow = Slow()\n"
                                     "    ends.wait()\n"
                                     "threading.Thread(target=body).start()\n");
    INFO(result.describe());
    CHECK(result.exit_code == 0);
    CHECK(result.output == "destroyed");
}

CHILD("attaches for the first time during finalization") {
    start_python();
    static pyattach_status unnamed = PYATTACH_OK, named = PYATTACH_OK;
    auto late = [](pyattach_interpreter *main, void *) {
        unnamed = run_on_thread(try_to_attach);
        named = run_on_thread([main] { return try_to_attach_in(main); });
    };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), late, nullptr) == PYATTACH_OK);
    EXPECT(!stop_python());
    EXPECT(unnamed == PYATTACH_FINALIZING);
    EXPECT(named == PYATTACH_FINALIZING);
}
TEST_CASE("CPython issue 132948") { check_succeeds("attaches for the first time during finalization"); }

CHILD("attaches after the flag and after the end") {
    start_python();
    static int finalizing = -1;
    static pyattach_status status = PYATTACH_OK;
    {
        attached here;
        call_at_the_very_end([] {
            finalizing =
                cpython<int()>(cpython_symbol("Py_IsFinalizing", false) ? "Py_IsFinalizing" : "_Py_IsFinalizing")();
            status = run_on_thread(try_to_attach); // joined with the GIL held: it must not wait for it
        });
    }
    EXPECT(!stop_python());
    EXPECT(finalizing == 1);
    EXPECT(status == PYATTACH_FINALIZING || status == PYATTACH_NOT_INITIALIZED);
    EXPECT(run_on_thread(try_to_attach) == PYATTACH_NOT_INITIALIZED);
}
TEST_CASE("CPython issue 124619") { check_succeeds("attaches after the flag and after the end"); }

TEST_CASE("CPython issue 151518") {
    start_python();
    std::atomic<bool> done{false};
    task pausing("the pausing thread to end", [&] {
        attached here;
        while (!done)
            run("__import__('gc').collect()");
    });
    int rounds = 0;
    {
        attached here;
        for (; rounds < 300; ++rounds)
            detached gap; // whose end is a re-attach
    }
    done = true;
    pausing.join();
    CHECK(rounds == 300);
}

CHILD("a thread stuck inside") {
    start_python();
    messages said;
    pyattach_set_exit_timeout(50 * ms);
    {
        attached here;
        run("import warnings; warnings.simplefilter('always')");
    }
    start_stuck_thread("stuck-inside");
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT);
    EXPECT(said.text().find("stuck-inside") != std::string::npos);
    EXPECT(all_counters().exit_timeouts == 1);
    EXPECT(pyattach_interpreter_main() == nullptr);
    end_child();
}
TEST_CASE("ext: gate time-out") {
    child_result result = run_child("a thread stuck inside");
    check_succeeds(result);
    INFO(result.output);
    CHECK(result.output.find("RuntimeWarning") != std::string::npos);
    CHECK(result.output.find("stuck-inside") != std::string::npos);
}
