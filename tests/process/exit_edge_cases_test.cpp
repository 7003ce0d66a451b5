// Unusual exits: begun by hand, without atexit callbacks, timed out, and with threads that attach late.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <atomic>
#include <cstring>
#include <memory>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include "support/tstate_counts.hpp"
#include "support/stuck_thread.hpp"

using namespace support;

namespace {

constexpr long long ms = 1000000;

pyattach_status try_elsewhere() { return run_on_thread(try_to_attach); }

} // namespace

CHILD("atexit callbacks run by hand") {
    start_python();
    int called = 0;
    auto callback = [](pyattach_interpreter *, void *count) { ++*static_cast<int *>(count); };
    EXPECT(pyattach_exit_callback_add(pyattach_interpreter_main(), callback, &called) == PYATTACH_OK);
    EXPECT(try_elsewhere() == PYATTACH_OK);
    {
        attached here;
        run("import atexit; atexit._run_exitfuncs()");
        EXPECT(called == 1);
    }
    auto waits = all_counters().exit_waits;
    EXPECT(try_elsewhere() == PYATTACH_FINALIZING); // for good
    {
        attached here; // the thread that did it goes on
        EXPECT(eval_int("1") == 1);
        run("import atexit; atexit._run_exitfuncs()");
    }
    EXPECT(called == 1);
    pyattach_interpreter_stop();
    EXPECT(all_counters().exit_waits == waits); // once is enough
    EXPECT(pyattach_interpreter_main() == nullptr);
    EXPECT(try_elsewhere() == PYATTACH_NOT_INITIALIZED);
}
TEST_CASE("atexit._run_exitfuncs() closes the interpreter to other threads permanently") {
    check_succeeds("atexit callbacks run by hand");
}

CHILD("atexit callbacks thrown away") {
    start_python();
    pyattach_interpreter *main = pyattach_interpreter_main();
    EXPECT(try_elsewhere() == PYATTACH_OK);
    {
        attached here;
        run("import atexit; atexit._clear()");
    }
    EXPECT(try_elsewhere() == PYATTACH_OK);
    ref left;
    {
        attached here;
        left = new_object();
        may_leak(left);
    }
    stop_python();
    left.drop();
    EXPECT(pyattach_interpreter_main() == nullptr);
    EXPECT(try_elsewhere() == PYATTACH_NOT_INITIALIZED);
    pyattach_attached scope;
    EXPECT(pyattach_attached_begin_in(&scope, main) == PYATTACH_FINALIZING);
    EXPECT(all_counters().drops_leaked > 0);
    start_python();
    EXPECT(try_elsewhere() == PYATTACH_OK);
    EXPECT(!stop_python());
}
TEST_CASE("the end of an interpreter after atexit._clear() is noticed") {
    check_succeeds("atexit callbacks thrown away");
}

CHILD("three threads that never leave") {
    start_python();
    messages said;
    pyattach_set_exit_timeout(20 * ms);
    const char *names[3] = {"stuck-one", "stuck-two", "stuck-three"};
    pid_t ids[3];
    for (int i = 0; i < 3; ++i)
        ids[i] = start_stuck_thread(names[i]);
    auto before = all_counters();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT);
    auto after = all_counters();
    EXPECT(after.exit_waits - before.exit_waits == 1);
    EXPECT(after.exit_timeouts - before.exit_timeouts == 1);
    std::string text = said.text();
    EXPECT_SENTENCE(text.find("3 native threads") != std::string::npos, text);
    for (int i = 0; i < 3; ++i) {
        EXPECT_SENTENCE(text.find(names[i]) != std::string::npos, text);
        EXPECT_SENTENCE(text.find(std::to_string(ids[i])) != std::string::npos, text);
    }
    end_child();
}
TEST_CASE("every thread still inside at the exit time-out is named, with its native id") {
    child_result result = run_child("three threads that never leave", {{}, {{"PYTHONWARNINGS", "always"}}});
    check_succeeds(result);
    CHECK(result.output.find("RuntimeWarning") != std::string::npos);
    CHECK(result.output.find("3 native threads") != std::string::npos);
}

CHILD("warnings that are errors at the limit") {
    start_python();
    pyattach_set_exit_timeout(0);
    {
        attached here;
        run("import warnings; warnings.simplefilter('error')");
    }
    start_stuck_thread();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_TIMED_OUT);
    end_child();
}
TEST_CASE("an exit time-out warning that is turned into an error does not keep the interpreter from ending") {
    child_result result = run_child("warnings that are errors at the limit");
    check_succeeds(result);
    CHECK(result.output.find("RuntimeWarning") != std::string::npos); // as an unraisable exception
}

CHILD("a thread detached inside while exit waits without a limit") {
    start_python();
    pyattach_set_exit_timeout(-1);
    latch inside("the thread to be inside"), ended("the interpreter to end");
    task thread("the thread inside to end", [&] {
        attached here;
        detached gap;
        inside.count_down();
        ended.wait();
        EXPECT(gap.end() == PYATTACH_FINALIZING);
    });
    inside.wait();
    auto before = all_counters();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK); // no thread is attached any more
    EXPECT(all_counters().exit_timeouts == before.exit_timeouts);
    ended.count_down();
    thread.join();
}
TEST_CASE("a thread that stays detached never delays exit for long, though it may itself block for ever") {
    check_succeeds("a thread detached inside while exit waits without a limit");
}

CHILD("destructors below noexcept frames") {
    start_python();
    pyattach_set_exit_timeout(0);
    static std::atomic<int> inside{0}, came_back{0};
    static latch ended("the interpreter to end");
    {
        // A Python daemon thread, a thread that other code attached, and one that the library attached, each in a
        // destructor.
        attached here;
        struct comes_back {
            ~comes_back() { // noexcept, as destructors are: an exception, or CPython's way to end a thread, would end
                            // the process
                pyattach_detached gap;
                if (pyattach_detached_begin(&gap) != PYATTACH_OK)
                    std::abort();
                ++inside;
                ended.wait();
                pyattach_status status = pyattach_detached_end(&gap);
                came_back += status == PYATTACH_FINALIZING ? 1 : 100;
            }
        };
        publish("wait_in_destructor", native_function([] { comes_back waits; }));
        run("import threading\nthreading.Thread(target=wait_in_destructor, daemon=True).start()");
        task foreign("a thread that is parked", [] {
            foreign_attach other;
            comes_back waits;
        });
        foreign.abandon();
        task ours("a thread that unwinds", [] {
            attached inside_scope;
            comes_back waits;
        });
        ours.abandon();
        detached gap;
        wait_until("all three to be inside", [] { return inside == 3; });
    }
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
    ended.count_down();
    wait_until("the thread that is ours to come back", [] { return came_back != 0; });
    EXPECT(came_back == 1);
    end_child();
}
// pybind11 #2215, #1360: "terminate called without an active exception"
TEST_CASE("re-attaching in a destructor after finalization neither terminates nor unwinds: scopes get FINALIZING, "
          "foreign attaches park") {
    check_succeeds("destructors below noexcept frames");
}
