// Lists of threads over the life of a process: without Python, when it has ended, in forks; and without a system call.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/fork.hpp"
#include "support/refuse_membarrier.hpp"
#include "support/scopes.hpp"
#include "support/thread_infos.hpp"
#include "support/threads.hpp"
#include "support/waiting_thread.hpp"

#include <sys/syscall.h>
#include <unistd.h>

using namespace support;

CHILD("lists before Python starts and after it has ended") {
    EXPECT(pyattach_threads_get(nullptr, 0) == 0);
    expect_in(report(), "pyattach: 0 threads; 0 attached, 0 waiting, 0 detached, 0 idle\n");
    start_python();
    name_this_thread("host");
    {
        attached here;
        EXPECT(state_of("host") == "attached");
    }
    EXPECT(!stop_python());
    EXPECT(state_of("host") == "idle");
    expect_in(report(), " 1 idle\n");
    start_python();
    attached here;
    EXPECT(state_of("host") == "attached");
}
TEST_CASE("threads are listed before Python starts, after it has ended, and when it has started again") {
    check_succeeds("lists before Python starts and after it has ended");
}

CHILD("a scope that its interpreter does not outlive") {
    start_python();
    pyattach_set_exit_timeout(10000000);
    latch inside("the thread to be inside"), ended("the end of Python");
    task worker("the thread to end", [&] {
        name_this_thread("worker");
        pyattach_attached outer;
        EXPECT(pyattach_attached_begin(&outer) == PYATTACH_OK);
        pyattach_detached gap;
        EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
        inside.count_down();
        ended.wait();
        EXPECT(pyattach_detached_end(&gap) == PYATTACH_FINALIZING);
        EXPECT(state_of("worker") == "idle");
        pyattach_attached_end(&outer);
    });
    inside.wait();
    EXPECT(state_of("worker") == "detached");
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    EXPECT(state_of("worker") == "idle");
    ended.count_down();
    worker.join();
}
TEST_CASE("a thread whose scopes are inert is idle") {
    check_succeeds("a scope that its interpreter does not outlive");
}

CHILD("lists in fork children") {
    start_python();
    name_this_thread("host");
    bystanders others(4);
    EXPECT(thread_infos().size() >= 5);
    // A fork child has one thread, whose number is not that of the parent's.
    const auto live = [] {
        EXPECT(thread_infos().size() == 1);
        EXPECT(info_of("host").native_id == getpid());
        expect_in(report(), "  thread " + std::to_string(getpid()) + " (host): ");
    };
    fork_plainly(live);
    {
        attached here;
        fork_in_python([&] {
            live();
            EXPECT(state_of("host") == "attached");
        });
    }
    others.let_go();
}
TEST_CASE("a fork child lists its own thread") { check_succeeds("lists in fork children"); }

CHILD("frames that cannot be read") {
    start_python();
    // On debug builds the frames are all that is known. A system may have no seccomp filters.
    if (is_debug_build() || !refuse_system_call(SYS_process_vm_readv))
        return;
    latch inside("the thread to be inside"), may_end("permission to end the gap");
    task worker("the thread to end", [&] {
        name_this_thread("worker");
        attached here;
        EXPECT(state_of("worker") == "attached");
        detached gap;
        inside.count_down();
        may_end.wait();
    });
    inside.wait();
    EXPECT(state_of("worker") == "detached");
    if (!is_free_threaded()) {
        attached here;
        may_end.count_down();
        wait_until_it_is("worker", "detached by other code");
        waiting_thread at_a_begin;
        wait_until("the other thread to wait",
                   [] { return report().find("1 attached, 1 waiting") != std::string::npos; });
        detached gap;
        at_a_begin.join();
    }
    may_end.count_down();
    worker.join();
}
TEST_CASE("where frames cannot be read, only a wait at the end of a detached scope is not told from other code's gap") {
    check_succeeds("frames that cannot be read");
}
