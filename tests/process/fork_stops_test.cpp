// What must not be under way when Python forks: stopping the world, on free-threaded builds (on the others there is
// nothing to stop, and those tests are trivially true), and making a thread state, up to 3.11.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <mutex>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

#include "api/thread_states.hpp"
#include "process/forked.hpp"
#include "stress/plain_python.hpp"

using namespace support;

namespace {

// So many dead states that the next new thread deletes them, and collects first.
void leave_dead_states() {
    for (int i = 0; i < 64; ++i)
        run_on_thread(use_python);
}

std::atomic<bool> has_happened{false};

// Garbage whose end, in the next collection, calls `what`.
void leave_garbage(std::function<void()> what) {
    publish("on_end", native_function(std::move(what)));
    run("import gc\n"
        "gc.set_threshold(10**9)\n"
        "class Garbage:\n"
        "    def __init__(self): self.itself = self\n"
        "    def __del__(self): on_end()\n"
        "Garbage()\n");
}

} // namespace

CHILD("a fork while the library collects") {
    start_python();
    const auto forking = static_cast<pid_t>(syscall(SYS_gettid));
    latch is_collecting("a collection"), is_forking("a fork");
    leave_dead_states();
    {
        attached here;
        publish("on_fork", native_function([&] { is_forking.count_down(); }));
        run("import os; os.register_at_fork(before=on_fork)"); // Python calls the hook that came last first
        leave_garbage([&] {
            detached gap;
            is_collecting.count_down();
            is_forking.wait();
            // Where it waits for this; or, if it did not, for the child.
            wait_until("the thread that forks to wait", [=] { return is_asleep(forking); });
            has_happened = true;
        });
    }
    task collector("the thread that collects to end", use_python);
    is_collecting.wait();
    {
        attached here;
        fork_in_python([] {
            EXPECT(has_happened);
            run("gc.get_objects()"); // stops the world: a lock left behind would hang it
        });
    }
    collector.join();
    EXPECT(!stop_python());
}
TEST_CASE("os.fork waits until the library has collected") {
    load_python();
    if (is_free_threaded())
        check_succeeds("a fork while the library collects");
}

CHILD("a fork in a collection of the library's") {
    start_python();
    leave_dead_states();
    {
        attached here;
        leave_garbage([] {
            fork_in_python([] { run("gc.get_objects()"); });
            has_happened = true;
        });
    }
    run_on_thread(use_python);
    EXPECT(has_happened);
    EXPECT(!stop_python());
}
TEST_CASE("a finaliser that forks in a collection of the library's waits for nothing") {
    load_python();
    if (is_free_threaded())
        check_succeeds("a fork in a collection of the library's");
}

CHILD("a first attach during a fork") {
    load_python();
    stress::start_plainly();
    // Before the library comes: Python calls this hook after the library's own.
    EXPECT(stress::python().run("import os\n"
                                "hooks = []\n"
                                "os.register_at_fork(before=lambda: [hook() for hook in hooks])\n",
                                nullptr) == 0);
    void *mine = stress::python().save();
    std::unique_ptr<task> newcomer;
    {
        attached here;
        publish("on_fork", native_function([&] {
                    detached gap;
                    newcomer = std::make_unique<task>("a newcomer to end", [] {
                        attached inside;
                        has_happened = true;
                    });
                    newcomer->wait_until_asleep();
                }));
        run("hooks.append(on_fork)");
        fork_in_python([] {
            EXPECT(!has_happened);
            run("hooks.clear(); import gc; gc.get_objects()");
        });
        run("hooks.clear()");
    }
    newcomer->join();
    EXPECT(has_happened);
    stress::python().restore(mine);
    EXPECT(stress::python().finalize() == 0);
}
TEST_CASE("a thread that needs a new state waits until the fork is over") {
    load_python();
    if (is_free_threaded())
        check_succeeds("a first attach during a fork");
}

// Without the library.
CHILD("plainly: forks while others stop the world") {
    load_python();
    stress::start_plainly();
    EXPECT(stress::python().run("import gc, os, signal, threading, warnings\n"
                                "warnings.simplefilter('ignore')\n"
                                "signal.signal(signal.SIGALRM, signal.SIG_DFL)\n"
                                "def stop_the_world():\n"
                                "    while True: gc.unfreeze()\n"
                                "for _ in range(2): threading.Thread(target=stop_the_world, daemon=True).start()\n"
                                "for _ in range(300):\n"
                                "    child = os.fork()\n"
                                "    if child == 0:\n"
                                "        signal.alarm(5)\n"
                                "        gc.unfreeze()\n"
                                "        os._exit(0)\n"
                                "    if os.waitpid(child, 0)[1]: os._exit(42)\n"
                                "os._exit(0)\n",
                                nullptr) == 0);
}
TEST_CASE("free-threaded 3.13 cannot fork while other threads stop the world") {
    load_python();
    // Should this fail, CPython has been mended, and fork.hpp has a rule too many.
    if (is_free_threaded() && python_version() < 0x030E0000)
        CHECK(run_child("plainly: forks while others stop the world").exit_code == 42);
}

namespace {

// A child that cannot even return from os.fork() is found by its end of a pipe, which stays open.
constexpr const char *fork_200_times = "import os, select, warnings\n"
                                       "warnings.simplefilter('ignore')\n"
                                       "for _ in range(200):\n"
                                       "    ended, alive = os.pipe()\n"
                                       "    child = os.fork()\n"
                                       "    if child == 0: os._exit(0)\n"
                                       "    os.close(alive)\n"
                                       "    if not select.select([ended], [], [], 10)[0]:\n"
                                       "        os.kill(child, 9)\n"
                                       "        os._exit(42)\n"
                                       "    os.close(ended)\n"
                                       "    os.waitpid(child, 0)\n";

void fork_while_others(const std::function<void()> &take_new_state) {
    policy scoped(PYATTACH_THREADS_SCOPED);
    std::atomic<bool> is_over{false};
    std::vector<std::unique_ptr<task>> tasks;
    for (int i = 0; i < 2; ++i)
        tasks.push_back(std::make_unique<task>("a thread that comes and goes to end", [&] {
            while (!is_over)
                take_new_state();
        }));
    {
        attached here;
        run(fork_200_times);
    }
    is_over = true;
    tasks.clear();
    EXPECT(!stop_python());
}

} // namespace

CHILD("forks while others take new states") {
    start_python();
    fork_while_others([] { attached here; });
}
TEST_CASE("a fork finds no thread state half made") { check_succeeds("forks while others take new states"); }

// Up to 3.11 whoever makes a thread state waits for the GIL then.
CHILD("forks under tracemalloc while others take new states") {
    start_python();
    // CPython frees a state that its own thread deletes after it let go of the GIL, and takes tracemalloc's lock for
    // that. Nobody resets this lock in a child, which waits for it before os.fork() returns. So no state goes
    // meanwhile.
    std::mutex may_go;
    {
        attached here;
        publish("hold", native_function([&] {
                    detached gap;
                    may_go.lock();
                }));
        publish("let_go", native_function([&] { may_go.unlock(); }));
        run("import os, tracemalloc\n"
            "os.register_at_fork(before=hold, after_in_parent=let_go)\n"
            "tracemalloc.start()\n");
    }
    fork_while_others([&] {
        attached here;
        detached gap;
        may_go.lock();
        gap.end();
        here.end();
        may_go.unlock();
    });
}
TEST_CASE("nor does it wait for one that waits for the GIL") {
    check_succeeds("forks under tracemalloc while others take new states");
}

// Without the library.
CHILD("plainly: forks while others take new states") {
    load_python();
    stress::start_plainly();
    auto ensure = cpython<int()>("PyGILState_Ensure");
    auto release = cpython<void(int)>("PyGILState_Release");
    for (int i = 0; i < 2; ++i)
        std::thread([=] {
            for (;;)
                release(ensure());
        }).detach();
    for (int i = 0; i < 20; ++i)
        EXPECT(stress::python().run(fork_200_times, nullptr) == 0);
    std::_Exit(0);
}
TEST_CASE("up to 3.11 Python cannot fork while other threads take new states") {
    load_python();
    // Should this fail, CPython has been mended, and cpython::new_state has a rule too many.
    if (python_version() < 0x030C0000)
        CHECK(run_child("plainly: forks while others take new states").exit_code == 42);
}
