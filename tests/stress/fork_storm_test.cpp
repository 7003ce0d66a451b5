// Forks while eight native threads attach, detach, queue references, end and start anew; each child does all of that
// itself, forks again, and finalizes Python.
//
// 30 children here, 10 without a GIL; with PYATTACH_TEST_FULL=1 in the environment 1,000.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <csignal>
#include <cstdio>
#include <memory>
#include <random>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "support/tstate_counts.hpp"
#include "support/resident_memory.hpp"

using namespace support;

namespace {

constexpr int natives = 8;
std::atomic<bool> is_over{false};
object *answer; // a function

void work_once(std::minstd_rand &random) {
    ref kept, other;
    {
        attached here;
        kept = new_object();
        other = new_object();
        // Compiled once: each compilation leaves memory behind on free-threaded 3.13, see thread_churn_test.
        static auto *const call = cpython<object *(object *)>("PyObject_CallNoArgs");
        EXPECT(to_int(ref(call(answer))) == 42);
        if (random() % 2) {
            detached gap;
            other.drop();
            if (random() % 4 == 0)
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }
    // What a detached thread drops waits in the pool.
}

// Some threads keep a warm tstate throughout, some start threads that end.
void work_till_the_end(int number) {
    std::minstd_rand random(77u + unsigned(number));
    while (!is_over) {
        work_once(random);
        if (number % 4 == 3)
            run_on_thread([&] { work_once(random); });
        // Making and ending states takes some ms each where the GIL is off, and each fork stops the world.
        if (number % 2 || is_free_threaded())
            std::this_thread::sleep_for(std::chrono::microseconds(is_free_threaded() ? 10000 : 300));
    }
}

int fork_in_python() {
    run("import os, warnings; warnings.simplefilter('ignore'); child = os.fork()");
    return static_cast<int>(eval_int("child"));
}

void expect_exit_0(int child) {
    int status = 0;
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT_SENTENCE(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a child ended with " + std::to_string(status));
}

// The only thread there is; attached when it was forked.
[[noreturn]] void live_as_a_grandchild(attached &here) {
    alarm(60);
    EXPECT(eval_int("2") == 2);
    here.end();
    std::minstd_rand random;
    work_once(random);
    run_on_thread([&] { work_once(random); });
    std::_Exit(0);
}

[[noreturn]] void live_as_a_child(attached &here, int number) {
    alarm(60);
    EXPECT(eval_int("1") == 1);
    here.end();
    std::minstd_rand random(unsigned(number) + 1);
    for (int i = 0; i < 3; ++i)
        work_once(random);
    run_on_thread([&] { work_once(random); });
    {
        attached again;
        EXPECT(pyattach_pool_drain() == PYATTACH_OK);
        EXPECT(pyattach_pool_size() == 0);
        if (number % 4 == 0) {
            int child = fork_in_python();
            if (child == 0)
                live_as_a_grandchild(again);
            detached gap;
            expect_exit_0(child);
        }
    }
    if (number % 2 == 0) {
        pyattach_status status = pyattach_interpreter_stop();
        // On free-threaded 3.13 only the thread that started Python may end it, and so it is with a child.
        std::_Exit(status == PYATTACH_OK || status == PYATTACH_INVALID ? 0 : 10 + status);
    }
    std::_Exit(0); // as multiprocessing's children do
}

[[noreturn]] void live_guarded(attached &here, int number) {
    try {
        live_as_a_child(here, number);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "in a forked child: %s\n", error.what());
        std::_Exit(9);
    }
}

} // namespace

CHILD("a storm of forks") {
    int forks = std::stoi(child_arguments().at(0));
    start_python();
    {
        attached here;
        answer = eval("lambda: 6 * 7").release();
    }
    std::vector<std::unique_ptr<task>> tasks;
    for (int i = 0; i < natives; ++i)
        tasks.push_back(std::make_unique<task>("a native thread to end", [i] { work_till_the_end(i); }));
    std::int64_t before = 0;
    for (int i = 0; i < forks; ++i) {
        // Every third one is forked by a native thread.
        auto fork_once = [i] {
            attached here;
            int child = fork_in_python();
            if (child == 0)
                live_guarded(here, i);
            detached gap;
            expect_exit_0(child);
        };
        if (i % 3 == 2)
            run_on_thread(fork_once);
        else
            fork_once();
        if (i == forks / 4)
            before = resident_bytes();
    }
    std::int64_t grown = resident_bytes() - before;
    is_over = true;
    for (auto &thread : tasks)
        thread->join();
    std::printf("%d forks, %lld bytes grown, %llu leaked\n", forks, static_cast<long long>(grown),
                static_cast<unsigned long long>(all_counters().drops_leaked));
    std::fflush(stdout);
    EXPECT(all_counters().drops_leaked == 0);
    // What allocators keep for themselves does not grow with the number of forks.
    EXPECT(!is_memory_telling || grown < 8 * 1024 * 1024);
    EXPECT(!stop_python());
}

TEST_CASE("children forked while native threads are at work attach, drop, fork again and exit") {
    load_python();
    if (is_debug_build() && python_version() < 0x030c0000) {
        // A native thread that forked gives its state back, the last one, and takes a new one: see
        // fork_without_hooks_test.
        WARN("a debug build of Python up to 3.11 asserts that the first state of an interpreter is made once");
        return;
    }
    if (is_address_sanitized) {
        // Seen in a debugger: a child's first allocation of a size waits for the sanitizer's own lock, which another
        // thread held when the process was forked. (Clang 17 and newer see to that.)
        WARN("the address sanitizer's allocator cannot be forked while other threads use it");
        return;
    }
    child_options options{{is_full_run() ? "1000" : is_free_threaded() ? "10" : "30"}};
    options.deadline = std::chrono::seconds(is_full_run() ? 3000 : 120);
    child_result result = run_child("a storm of forks", options);
    std::fputs(result.output.c_str(), stdout);
    check_succeeds(result);
}
