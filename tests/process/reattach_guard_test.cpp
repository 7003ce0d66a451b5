// Python daemon threads that re-attach from a detached scope during finalization. A thread that has checked whether it
// may attach, and is then not scheduled until Python has finalized, must not read its freed tstate.
//
// The executable interposes two functions of CPython.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/threads.hpp"
#include "process/real_dlsym.hpp"

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <set>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace support;

namespace {

thread_local bool is_held;
void (*while_held)();
latch came_near("a thread to be about to attach"), cleared("its thread state to be cleared");
std::atomic<bool> has_ended{false}, ended_too_early{false}, came_back{false};
pid_t main_thread;

void (*real_restore)(void *);
void *(*real_pointer)(object *, const char *);

void restore(void *state) {
    if (std::exchange(is_held, false)) {
        came_near.count_down();
        while_held();
    }
    real_restore(state);
}

// CPython has begun to clear the state of a thread.
void *pointer(object *capsule, const char *name) {
    if (std::strcmp(name, "pyattach.thread_state") == 0)
        cleared.count_down();
    return real_pointer(capsule, name);
}

// Whether this Python frees other threads' tstates after it has ended (not hung) the threads that try to attach.
bool waits_for_threads() { return python_version() < 0x030d0800 && !is_free_threaded(); }

// The library waits in slices of a millisecond, two thousand of them if no thread wakes it.
bool waited_for_long() {
    rusage so_far{};
    getrusage(RUSAGE_THREAD, &so_far);
    return so_far.ru_nvcsw > 1500;
}

void leave_a_gap() {
    detached gap;
    is_held = true;
    gap.end();
}

// Starts Python, and a daemon thread of its own that calls `function`, which comes back from somewhere.
void start_with_daemon(void (*function)()) {
    main_thread = static_cast<pid_t>(syscall(SYS_gettid));
    start_python();
    attached here;
    publish("come_back", native_function([function] {
                function();
                came_back = true;
            }));
    run("import threading; threading.Thread(target=come_back, daemon=True).start()");
}

// Blocks until finalization waits for this thread or completes without it.
void await_the_end() {
    wait_until("Python to end, or to wait", [] { return has_ended || (cleared.is_open() && is_asleep(main_thread)); });
    ended_too_early = has_ended.load();
}

void expect_that_the_end_waits() {
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    has_ended = true;
    EXPECT(!waits_for_threads() || (cleared.is_open() && !ended_too_early));
    EXPECT(!waited_for_long());
    EXPECT(!came_back); // CPython refused it, and it is parked
}

} // namespace

extern "C" __attribute__((visibility("default"))) void *dlsym(void *handle, const char *name) noexcept {
    void *address = real_dlsym(handle, name);
    auto interpose = [address](auto *&real, auto *ours) {
        real = reinterpret_cast<std::remove_reference_t<decltype(real)>>(address);
        return reinterpret_cast<void *>(ours);
    };
    if (address && std::strcmp(name, "PyEval_RestoreThread") == 0)
        return interpose(real_restore, restore);
    if (address && std::strcmp(name, "PyCapsule_GetPointer") == 0)
        return interpose(real_pointer, pointer);
    return address;
}

CHILD("Python ends while a thread of its own comes back") {
    while_held = await_the_end;
    start_with_daemon(leave_a_gap);
    came_near.wait();
    expect_that_the_end_waits();
    end_child();
}
CHILD("Python ends while a thread of its own comes back after a lock") {
    static pyattach_mutex mutex = PYATTACH_MUTEX_INIT;
    pyattach_mutex_lock(&mutex);
    while_held = await_the_end;
    start_with_daemon([] {
        is_held = true;
        pyattach_mutex_lock(&mutex);
    });
    // Or it finds the mutex free, and does not detach. A waiter sets a bit beside the lowest, which says "locked".
    wait_until("the daemon to wait for the mutex",
               [] { return __atomic_load_n(reinterpret_cast<uint16_t *>(&mutex), __ATOMIC_RELAXED) != 1; });
    pyattach_mutex_unlock(&mutex);
    came_near.wait();
    expect_that_the_end_waits();
    end_child();
}
CHILD("Python ends while a thread of its own comes back from another interpreter") {
    static latch may_visit("the sub-interpreter to be there"), visited("the visit");
    static pyattach_interpreter *other;
    while_held = [] {
        visited.count_down();
        await_the_end();
    };
    start_with_daemon([] {
        {
            foreign_detach gap; // which gives it no tether
            may_visit.wait();
        }
        attached there(other);
        is_held = true;
    });
    {
        attached here;
        sub_interpreter sub;
        other = sub.handle();
        may_visit.count_down();
        {
            detached gap;
            visited.wait();
        }
        sub.end();
    }
    expect_that_the_end_waits();
    end_child();
}
TEST_CASE("finalization does not free the tstate of a daemon thread that is re-attaching to it") {
    check_succeeds("Python ends while a thread of its own comes back");
    check_succeeds("Python ends while a thread of its own comes back after a lock");
    check_succeeds("Python ends while a thread of its own comes back from another interpreter");
}

CHILD("Python ends while a thread of its own never gets on") {
    while_held = [] {
        for (;;)
            pause();
    };
    start_with_daemon(leave_a_gap);
    came_near.wait();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    end_child();
}
TEST_CASE("finalization completes although a re-attaching daemon thread never proceeds") {
    check_succeeds("Python ends while a thread of its own never gets on");
}

CHILD("forks while a thread of its own comes back") {
    static latch forked("the fork");
    while_held = [] { forked.wait(); };
    start_with_daemon(leave_a_gap);
    came_near.wait();
    {
        attached here;
        run("import os, warnings; warnings.simplefilter('ignore'); child = os.fork()");
        if (eval_int("child") == 0) {
            // The other thread does not exist in the child. Its tstate has been cleared, without a wait for it.
            EXPECT(!waited_for_long());
            here.end();
            EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
            std::_Exit(0);
        }
        forked.count_down();
        int status = 0, child = static_cast<int>(eval_int("child"));
        detached gap;
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
        wait_until("the thread to come back", [] { return came_back.load(); });
    }
    EXPECT(!stop_python());
}
TEST_CASE("a child forked while another thread re-attaches does not wait for that thread") {
    check_succeeds("forks while a thread of its own comes back");
}

namespace {

// In __main__: a destructor detaches while CPython clears the thread's state; in `before`, as it did earlier.
int late_calls = 0;
void make_late() {
    attached here;
    publish("let_others_run", native_function([] {
                { detached gap; }
                ++late_calls;
            }));
    run("import threading\n"
        "own = threading.local()\n"
        "class Late:\n"
        "    def __init__(self, call): self.call = call\n"
        "    def __del__(self): self.call()\n"
        "def before(): let_others_run(); own.late = Late(let_others_run)\n"
        "def at_last(): own.late = Late(let_others_run)\n");
}

} // namespace

CHILD("detaches while its own state is cleared") {
    start_python();
    make_late();
    for (const char *function : {"before", "at_last"})
        for (int i = 0; i < 3; ++i)
            run_on_thread([=] {
                foreign_attach state; // a thread state for the scope alone
                run(std::string(function) + "()");
            });
    EXPECT(late_calls == 9);
    EXPECT(!stop_python());
}
CHILD("Python ends while a thread comes back to a state where another one was") {
    main_thread = static_cast<pid_t>(syscall(SYS_gettid));
    while_held = await_the_end;
    start_python();
    make_late();
    std::thread([] {
        // What is put into the dict of a state that has been cleared stays, and its reattach guard with it.
        for (std::set<void *> earlier;;) {
            foreign_attach state;
            if (!earlier.insert(current_tstate()).second)
                return leave_a_gap();
            run("at_last()");
        }
    }).detach();
    came_near.wait();
    expect_that_the_end_waits();
    end_child();
}
TEST_CASE("a destructor that runs in PyThreadState_Clear of its own thread may detach") {
    check_succeeds("detaches while its own state is cleared");
    check_succeeds("Python ends while a thread comes back to a state where another one was");
}

CHILD("another thread uses the state meanwhile") {
    start_python();
    // Before 3.12 the library cannot see that a thread uses the tstate of another one; debug builds forbid it.
    if (python_version() < 0x030c0000 || is_debug_build() || is_free_threaded())
        return;
    foreign_attach outer;
    void *state = current_tstate();
    detached gap;
    run_on_thread([state] {
        cpython<void(void *)>("PyEval_RestoreThread")(state);
        { detached theirs; }
        cpython<void *()>("PyEval_SaveThread")();
    });
    EXPECT(gap.end() == PYATTACH_OK);
}
TEST_CASE("a thread re-attaches to a tstate that was handed to another thread meanwhile") {
    check_succeeds("another thread uses the state meanwhile");
}
