// What must not be under way when Python forks: making a thread state, which stops the world on free-threaded builds,
// and is done under a lock up to 3.11. (On the others there is nothing to wait for, and some tests are trivially true.)
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <mutex>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

#include "support/tstate_counts.hpp"
#include "support/fork.hpp"
#include "support/plain_python.hpp"
#include "support/host.hpp"

using namespace support;

namespace {

std::atomic<bool> has_happened{false};

// A before-fork hook that calls each function in `hooks`. It is older than the library's hook, so it runs after it.
void *start_with_hooks() {
    start_as_host();
    EXPECT(plain::python().run("import os\n"
                               "hooks = []\n"
                               "os.register_at_fork(before=lambda: [hook() for hook in hooks])\n",
                               nullptr) == 0);
    return plain::python().save();
}

} // namespace

CHILD("a first attach during a fork") {
    void *tstate = start_with_hooks();
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
    plain::python().restore(tstate);
    EXPECT(plain::python().finalize() == 0);
}
TEST_CASE("a thread that needs a new tstate waits until a fork is over") {
    load_python();
    if (is_free_threaded())
        check_succeeds("a first attach during a fork");
}

CHILD("a fork that waits for a first attach") {
    void *tstate = start_with_hooks();
    {
        attached here;
        publish("on_fork", native_function([&] {
                    detached gap;
                    run_on_thread([] {
                        attached inside;
                        has_happened = true;
                    });
                }));
        run("hooks.append(on_fork)");
        fork_in_python([] { EXPECT(has_happened); });
        run("hooks.clear()");
    }
    plain::python().restore(tstate);
    EXPECT(plain::python().finalize() == 0);
}
TEST_CASE("a thread that needs a new tstate stops waiting for a fork after a time-out, as the fork may wait for it") {
    check_succeeds("a fork that waits for a first attach");
}

// What CPython does without the library.
CHILD("plainly: forks while others stop the world") {
    start_as_host();
    EXPECT(plain::python().run("import gc, os, signal, threading, warnings\n"
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
TEST_CASE("free-threaded 3.13 alone cannot fork while other threads stop the world") {
    load_python();
    // If this fails, CPython was fixed, and the library's workaround in fork.hpp can go.
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

void fork_often() {
    attached here;
    run(fork_200_times);
}

void fork_while_others(const std::function<void()> &take_new_state,
                       const std::function<void()> &fork_now = fork_often) {
    policy scoped(PYATTACH_THREADS_SCOPED);
    std::atomic<bool> is_over{false};
    std::vector<std::unique_ptr<task>> tasks;
    for (int i = 0; i < 2; ++i)
        tasks.push_back(std::make_unique<task>("a thread that comes and goes to end", [&] {
            while (!is_over)
                take_new_state();
        }));
    fork_now();
    is_over = true;
    tasks.clear();
    EXPECT(!stop_python());
}

} // namespace

CHILD("forks while others take new states") {
    start_python();
    fork_while_others([] { attached here; });
}
TEST_CASE("a fork never copies a half-made tstate") { check_succeeds("forks while others take new states"); }

// As a program forks that tells Python of it afterwards only.
CHILD("plain forks while others take new states") {
    start_python();
    fork_while_others([] { attached here; },
                      [] {
                          for (int i = 0; i < 100; ++i) {
                              attached here;
                              fork_plainly([] {
                                  cpython<void()>("PyOS_AfterFork_Child")();
                                  EXPECT(eval_int("6 * 7") == 42);
                              });
                          }
                      });
}
TEST_CASE("a raw fork never copies a half-made tstate") {
    load_python();
    // Later the child finds that lock anew; and some of Python's are taken before its own fork, which a child then
    // misses.
    if (python_version() < 0x030C0000)
        check_succeeds("plain forks while others take new states");
}

// Up to 3.11 PyThreadState_New waits for the GIL while tracemalloc is on.
CHILD("forks under tracemalloc while others take new states") {
    start_python();
    // A thread that deletes its tstate frees it after it released the GIL, and takes tracemalloc's lock for that. No
    // code resets this lock in a child, which would wait for it before os.fork() returns. So no tstate may be
    // deleted during the fork.
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
TEST_CASE("a fork does not wait for a thread that waits for the GIL with its new tstate") {
    check_succeeds("forks under tracemalloc while others take new states");
}

// What CPython does without the library.
CHILD("plainly: forks while others take new states") {
    start_as_host();
    auto ensure = cpython<int()>("PyGILState_Ensure");
    auto release = cpython<void(int)>("PyGILState_Release");
    for (int i = 0; i < 2; ++i)
        std::thread([=] {
            for (;;)
                release(ensure());
        }).detach();
    for (int i = 0; i < 20; ++i)
        EXPECT(plain::python().run(fork_200_times, nullptr) == 0);
    std::_Exit(0);
}
TEST_CASE("up to 3.11 CPython alone cannot fork while other threads make tstates") {
    load_python();
    // If this fails, CPython was fixed, and the library's workaround in cpython::new_state can go.
    if (python_version() < 0x030C0000)
        CHECK(run_child("plainly: forks while others take new states").exit_code == 42);
}
