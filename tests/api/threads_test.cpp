// What pyattach_threads_get says of each thread. The list as such is in threads_list_test.
#include "support/attach_options.hpp"
#include "support/catch.hpp"
#include "support/scopes.hpp"
#include "support/sub_interpreter.hpp"
#include "support/thread_infos.hpp"
#include "support/threads.hpp"
#include "support/trace.hpp"
#include "support/tstate_counts.hpp"

#include <atomic>
#include <ctime>
#include <sys/syscall.h>
#include <unistd.h>

using namespace support;

namespace {

// A thread that makes one step after another when told to.
class stepper {
  public:
    explicit stepper(const char *name, std::vector<std::function<void()>> steps)
        : steps_(std::move(steps)), thread_("the stepper to end", [this, name] {
              name_this_thread(name);
              for (size_t step = 0; step < steps_.size(); ++step) {
                  turn_.arrive_and_wait();
                  steps_[step]();
                  done_ = static_cast<int>(step) + 1;
              }
          }) {}
    // The thread has made its next step.
    void step() {
        begin_step();
        await_step();
    }
    void begin_step() { turn_.arrive_and_wait(); }
    void await_step() {
        ++wanted_;
        wait_until("the stepper's step", [this] { return done_ == wanted_; });
    }
    void join() { thread_.join(); }

  private:
    barrier turn_{"the stepper's turn", 2};
    std::atomic<int> done_{0};
    int wanted_ = 0;
    std::vector<std::function<void()>> steps_;
    task thread_;
};

long long now_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<long long>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

// Attached in `outer`, detached in `gap`, and back, step by step.
struct scopes {
    pyattach_attached outer;
    pyattach_detached gap;
    std::vector<std::function<void()>> steps() {
        return {[this] { EXPECT(pyattach_attached_begin(&outer) == PYATTACH_OK); },
                [this] { EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK); },
                [this] { EXPECT(pyattach_detached_end(&gap) == PYATTACH_OK); },
                [this] { pyattach_attached_end(&outer); }, [] {}}; // the thread is there until it is told to end
    }
};

void check_states(const char *name, bool is_warm) {
    scopes open;
    std::vector<std::function<void()>> steps = open.steps();
    if (is_warm)
        steps.insert(steps.begin(), [] { attached here; });
    stepper worker(name, steps);
    if (is_warm) {
        worker.step();
        CHECK(state_of(name) == "idle");
        CHECK(bool(info_of(name).is_warm) == keeps_tstates());
    }
    worker.step();
    CHECK(state_of(name) == "attached");
    CHECK(info_of(name).interpreter == pyattach_interpreter_main());
    worker.step();
    CHECK(state_of(name) == "detached");
    CHECK(info_of(name).interpreter == pyattach_interpreter_main());
    worker.step();
    CHECK(state_of(name) == "attached");
    worker.step();
    CHECK(state_of(name) == "idle");
    worker.step();
    worker.join();
}

// The same while this thread has Python, so that the worker waits.
void check_waits(const char *name, bool is_warm) {
    scopes open;
    std::vector<std::function<void()>> steps = open.steps();
    if (is_warm)
        steps.insert(steps.begin(), [] { attached here; });
    stepper worker(name, steps);
    if (is_warm)
        worker.step();
    {
        attached here;
        worker.begin_step();
        wait_until_it_is(name, "waiting");
        CHECK(info_of(name).interpreter == pyattach_interpreter_main());
    }
    worker.await_step();
    CHECK(state_of(name) == "attached");
    worker.step();
    CHECK(state_of(name) == "detached");
    {
        attached here;
        worker.begin_step();
        wait_until_it_is(name, "waiting");
        CHECK(info_of(name).interpreter == pyattach_interpreter_main());
        CHECK(state_of("reader") == "attached");
    }
    worker.await_step();
    CHECK(state_of(name) == "attached");
    worker.step();
    CHECK(state_of(name) == "idle");
    worker.step();
    worker.join();
}

} // namespace

TEST_CASE("a thread is idle, attached and detached, on the slow paths and on the fast ones") {
    start_python();
    check_states("slow", false);
    check_states("fast", true);
}

TEST_CASE("a thread that waits for the GIL is waiting, at the begin of a scope and at the end of a detached one") {
    start_python();
    if (is_free_threaded())
        return;
    run_on_thread([] {
        name_this_thread("reader");
        check_waits("slow", false);
        check_waits("fast", true);
    });
}

TEST_CASE("states are the same while a trace records, and it is known since when") {
    start_python();
    trace recording;
    check_states("traced", true);
    const long long before = now_ns();
    scopes open;
    stepper worker("since", open.steps());
    worker.step();
    const long long between = now_ns();
    CHECK(info_of("since").since_ns >= before - 1000000);
    CHECK(info_of("since").since_ns <= between + 1000000);
    worker.step();
    CHECK(info_of("since").since_ns >= between - 1000000);
    CHECK(info_of("since").since_ns <= now_ns() + 1000000);
    recording.stop();
    CHECK(info_of("since").since_ns == 0);
    worker.step();
    worker.step();
    worker.step();
    worker.join();
}

TEST_CASE("without a trace it is not known since when; what an earlier trace noted is forgotten") {
    start_python();
    scopes open;
    stepper worker("untraced", open.steps());
    {
        trace recording;
        worker.step();
        CHECK(info_of("untraced").since_ns != 0);
    }
    CHECK(info_of("untraced").since_ns == 0);
    worker.step();
    trace recording;
    CHECK(info_of("untraced").since_ns == 0); // the thread has not done anything since
    CHECK(state_of("untraced") == "detached");
    worker.step();
    CHECK(info_of("untraced").since_ns != 0);
    worker.step();
    worker.step();
    worker.join();
}

TEST_CASE("a thread that other code detached inside its scope is told from one in a detached scope") {
    start_python();
    if (is_debug_build()) // its layout is not read
        return;
    latch inside("the thread to be inside"), may_go("permission to go");
    task worker("the thread to end", [&] {
        name_this_thread("foreign gap");
        attached here;
        foreign_detach gap;
        inside.count_down();
        may_go.wait();
    });
    inside.wait();
    CHECK(state_of("foreign gap") == "detached by other code");
    CHECK(info_of("foreign gap").interpreter == pyattach_interpreter_main());
    may_go.count_down();
    worker.join();
}

TEST_CASE("a thread that other code attached is known from its first scope on") {
    start_python();
    latch is_attached("the thread to be attached"), may_detach("permission"), is_detached("the thread to be detached"),
        may_go("permission to go");
    task worker("the thread to end", [&] {
        name_this_thread("other");
        foreign_attach by_other;
        attached here;
        is_attached.count_down();
        may_detach.wait();
        detached gap;
        is_detached.count_down();
        may_go.wait();
    });
    is_attached.wait();
    CHECK(state_of("other") == "attached");
    CHECK(info_of("other").interpreter == pyattach_interpreter_main());
    may_detach.count_down();
    is_detached.wait();
    CHECK(state_of("other") == "detached");
    may_go.count_down();
    worker.join();
}

TEST_CASE("a thread's number, name and label are those of the thread") {
    start_python();
    latch inside("the thread to be inside"), may_go("permission to go");
    std::atomic<long> id{0};
    const std::string label(100, 'x');
    task worker("the thread to end", [&] {
        name_this_thread("labelled");
        id = syscall(SYS_gettid);
        attached_with here{attach_options(false, label.c_str())};
        detached gap;
        inside.count_down();
        may_go.wait();
    });
    inside.wait();
    CHECK(info_of("labelled").native_id == id);
    CHECK(info_of("labelled").label == label.substr(0, 63));
    may_go.count_down();
    worker.join();
    run_on_thread([] {
        name_this_thread("plain");
        attached here;
        CHECK(info_of("plain").label[0] == '\0');
    });
}

TEST_CASE("a thread that is inside two interpreters is where it is attached") {
    start_python();
    if (!sees_switches())
        return;
    attached here;
    sub_interpreter other;
    pyattach_interpreter *handle = other.handle();
    detached gap;
    run_on_thread([&] {
        name_this_thread("both");
        attached outer;
        CHECK(info_of("both").interpreter == pyattach_interpreter_main());
        {
            attached inner(handle);
            CHECK(state_of("both") == "attached");
            CHECK(info_of("both").interpreter == handle);
        }
        CHECK(info_of("both").interpreter == pyattach_interpreter_main());
    });
}
