// Signals a thousand times a second, while threads attach, detach, wait and drop references: no wait ends early, and no
// reference is lost.
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/scopes.hpp"
#include "support/threads.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <sys/timerfd.h>
#include <unistd.h>
#include <vector>

using namespace support;

namespace {

std::atomic<int> profiled{0}, interrupted{0};

// Without SA_RESTART: every wait in the kernel ends early, again and again.
void handle(int signal, void (*function)(int)) {
    struct sigaction action = {};
    action.sa_handler = function;
    EXPECT(sigaction(signal, &action, nullptr) == 0);
}

void start_with_python_handlers() {
    load_python();
    pyattach_start_options options = start_options();
    options.install_signal_handlers = 1;
    EXPECT(pyattach_interpreter_start_with(&options) == PYATTACH_OK);
}

void block_signals() {
    sigset_t both;
    sigemptyset(&both);
    sigaddset(&both, SIGPROF);
    sigaddset(&both, SIGINT);
    pthread_sigmask(SIG_BLOCK, &both, nullptr);
}

// Sends both signals to all of them every millisecond, until told to stop.
class sender {
  public:
    explicit sender(std::vector<pthread_t> targets) : targets_(std::move(targets)) {}
    ~sender() { stop(); }
    void stop() {
        is_over_ = true;
        thread_.join();
    }

  private:
    void send() {
        block_signals();
        int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        const timespec millisecond = {0, 1000000};
        const itimerspec often = {millisecond, millisecond};
        EXPECT(timer >= 0 && timerfd_settime(timer, 0, &often, nullptr) == 0);
        for (std::uint64_t ticks; !is_over_;) {
            for (pthread_t thread : targets_) {
                pthread_kill(thread, SIGPROF);
                pthread_kill(thread, SIGINT);
            }
            EXPECT(read(timer, &ticks, sizeof ticks) == sizeof ticks);
        }
        close(timer);
    }
    std::vector<pthread_t> targets_;
    std::atomic<bool> is_over_{false};
    task thread_{"the sender of signals to end", [this] { send(); }};
};

constexpr int workers = 3;
int rounds() { return std::getenv("PYATTACH_TEST_FULL") ? 100000 : 300; }
int signals_wanted() { return std::getenv("PYATTACH_TEST_FULL") ? 20000 : 500; }

pyattach_mutex mutex;
std::atomic<int> given_back{0};

// One visit: in, out and in again, in turn with the others, with a reference given back outside.
void visit(object *probe) {
    {
        attached here;
        EXPECT(pyattach_incref(probe) == PYATTACH_OK);
        object *reference = nullptr;
        EXPECT(pyattach_from_int64(1 << 20, &reference) == PYATTACH_OK);
        detached gap;
        pyattach_mutex_lock(&mutex);
        pyattach_decref(reference);
        pyattach_mutex_unlock(&mutex);
        EXPECT(gap.end() == PYATTACH_OK);
        EXPECT(pyattach_pool_drain() == PYATTACH_OK);
        pyattach_mutex_lock(&mutex);
        pyattach_mutex_unlock(&mutex);
    }
    pyattach_decref(probe);
    ++given_back;
}

// The workers, with `meanwhile` on this thread until they are through and enough signals have come.
void storm(object *probe, const std::function<void()> &meanwhile) {
    std::vector<std::unique_ptr<task>> tasks;
    std::vector<pthread_t> handles(workers);
    latch are_there("the workers to be there", workers), may_end("permission to end");
    std::atomic<int> through{0};
    for (int i = 0; i < workers; ++i)
        tasks.push_back(std::make_unique<task>("a worker to end", [&, i] {
            handles[static_cast<size_t>(i)] = pthread_self();
            are_there.count_down();
            for (int round = 0; round < rounds() || profiled < signals_wanted(); ++round)
                visit(probe);
            ++through;
            may_end.wait(); // as long as signals are sent to it
        }));
    are_there.wait();
    {
        std::vector<pthread_t> all = handles;
        all.push_back(pthread_self());
        sender signals(all);
        while (through < workers)
            meanwhile();
    }
    may_end.count_down();
    for (auto &thread : tasks)
        thread->join();
}

std::int64_t references_after_drain(object *probe) {
    attached here;
    EXPECT(pyattach_pool_drain() == PYATTACH_OK);
    EXPECT(pyattach_pool_size() == 0);
    return reference_count(probe);
}

} // namespace

CHILD("signals that C handles") {
    handle(SIGPROF, [](int) { ++profiled; });
    handle(SIGINT, [](int) { ++interrupted; });
    start_python();
    ref probe;
    std::int64_t before;
    {
        attached here;
        probe = new_object();
        before = reference_count(probe);
    }
    storm(probe, [&] { visit(probe); });
    EXPECT(references_after_drain(probe) == before);
    probe.drop();
    EXPECT(profiled >= signals_wanted() && interrupted >= signals_wanted() / 2);
    EXPECT(given_back >= workers * rounds());
    // A thread inside that this one waits for, signals all along.
    latch is_inside("the last thread to be inside");
    std::atomic<bool> may_leave{false};
    pthread_t main_thread = pthread_self();
    task last("the last thread to end", [&] {
        pyattach_attached scope;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
        {
            foreign_detach gap;
            is_inside.count_down();
            wait_until("Python to begin to end", [&] { return may_leave.load(); });
            sender signals({main_thread});
            for (int seen = profiled; profiled < seen + 100;)
                sched_yield();
        }
        pyattach_attached_end(&scope);
    });
    is_inside.wait();
    EXPECT(pyattach_exit_callback_add(
               pyattach_interpreter_main(),
               [](pyattach_interpreter *, void *flag) { *static_cast<std::atomic<bool> *>(flag) = true; },
               &may_leave) == PYATTACH_OK);
    EXPECT(stop_python() == nullptr);
    last.join();
}
TEST_CASE("signals at 1 kHz interrupt no attach, detach, drain, lock or exit") {
    child_options options;
    options.deadline = std::chrono::seconds(600);
    check_succeeds("signals that C handles", options);
}

CHILD("signals that Python handles") {
    handle(SIGPROF, [](int) { ++profiled; });
    start_with_python_handlers();
    ref probe;
    std::int64_t before;
    {
        attached here;
        run("import sys\n"
            "unraisable = []\n"
            "sys.unraisablehook = lambda about: unraisable.append(about.exc_type.__name__)");
        probe = new_object();
        before = reference_count(probe);
    }
    int raised = 0, went_through = 0;
    // Each call reports an interrupt that came before or in it, or none.
    auto run_or_be_interrupted = [&](const char *code) {
        pyattach_status status = pyattach_run(code, nullptr, nullptr);
        char text[50] = "";
        if (status == PYATTACH_PYTHON_ERROR) {
            pyattach_error_message(text, sizeof text);
            pyattach_error_clear();
        }
        EXPECT(status == PYATTACH_OK || status == PYATTACH_PYTHON_ERROR);
        EXPECT_SENTENCE(status == PYATTACH_OK || std::string(text) == "KeyboardInterrupt", text);
        ++(status == PYATTACH_OK ? went_through : raised);
    };
    storm(probe, [&] {
        pyattach_attached scope;
        EXPECT(pyattach_attached_begin(&scope) == PYATTACH_OK);
        run_or_be_interrupted("for i in range(2000): pass");
        run_or_be_interrupted("pass"); // at once: on a slow machine an interrupt comes in every round
        pyattach_detached gap;
        EXPECT(pyattach_detached_begin(&gap) == PYATTACH_OK);
        EXPECT(pyattach_detached_end(&gap) == PYATTACH_OK);
        EXPECT(pyattach_attach_depth() == 1 && pyattach_is_attached());
        pyattach_attached_end(&scope);
    });
    EXPECT(raised > 0 && went_through > 0);
    handle(SIGINT, [](int) {});
    {
        attached here;
        (void)pyattach_check_signals(); // one may still be waiting
        pyattach_error_clear();
        EXPECT(eval_true("all(name == 'KeyboardInterrupt' for name in unraisable)"));
    }
    EXPECT(references_after_drain(probe) == before);
    probe.drop();
    EXPECT(pyattach_interpreter_stop() == PYATTACH_OK);
}
TEST_CASE("an interrupt at 1 kHz is raised by the call it comes to, and leaves every scope as it is") {
    child_options options;
    options.deadline = std::chrono::seconds(600);
    check_succeeds("signals that Python handles", options);
}
