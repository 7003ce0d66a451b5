// One run of the storm, and its one line of results.
#include "stress/storm.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <pthread.h>
#include <thread>

#include "support/refuse_membarrier.hpp"
#include "support/sanitizers.hpp"

namespace storm {

references counts;

std::uint64_t dice::next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

plain::object *new_object() {
    plain::object *made = plain::python().capsule(&counts, "storm", [](plain::object *) { ++counts.died; });
    support::may_leak(made); // chance decides whether its reference finds Python gone, and it is counted then
    ++counts.kept;
    return made;
}

namespace {

enum fate : int { running, ordered, killed };

struct native {
    dice random{0};
    void (*body)(dice &) = nullptr;
    std::atomic<int> fate{running};
};
native threads[natives];

// Sees a thread that is ended by unwinding its frames, as CPython does up to 3.13.7.
struct last_words {
    native &thread;
    ~last_words() {
        int expected = running;
        thread.fate.compare_exchange_strong(expected, killed);
    }
};

void *run(void *argument) {
    native &me = *static_cast<native *>(argument);
    last_words said{me};
    me.body(me.random);
    me.fate = ordered;
    return nullptr;
}

int count(int wanted) {
    int found = 0;
    for (const native &thread : threads)
        found += thread.fate == wanted;
    return found;
}

std::mutex lock;
std::condition_variable ended_signal;
bool has_ended;
std::string complaints;

// PyMethodDef
struct method {
    const char *name;
    plain::object *(*call)(plain::object *, plain::object *);
    int flags; // 4: METH_NOARGS
    const char *documentation;
};
method daemon_method = {"called_by_daemon",
                        [](plain::object *, plain::object *) {
                            called_by_daemon();
                            plain::python().incref(plain::python().none);
                            return plain::python().none;
                        },
                        4, nullptr};

void start_daemon() {
    const plain::plain_python &py = plain::python();
    int before = py.ensure();
    plain::object *function = py.function(&daemon_method, nullptr, nullptr);
    py.set(py.add_module("__main__"), "called_by_daemon", function);
    py.decref(function);
    int failed = py.run("import threading\n"
                        "def work_for_ever():\n"
                        "    while True:\n"
                        "        called_by_daemon()\n"
                        "        sum(range(100))\n"
                        "threading.Thread(target=work_for_ever, daemon=True).start()\n",
                        nullptr);
    if (failed)
        complain("the daemon thread did not start");
    py.release(before);
}

} // namespace

void complain(const std::string &what) {
    std::lock_guard<std::mutex> hold(lock);
    complaints += what + "; ";
}

void wait_for_the_end() {
    std::unique_lock<std::mutex> hold(lock);
    ended_signal.wait(hold, [] { return has_ended; });
}

} // namespace storm

int main(int argc, char **argv) {
    using namespace storm;
    std::uint64_t seed = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (std::strcmp(argv[i], "--seed") == 0)
            seed = std::strtoull(argv[i + 1], nullptr, 10);
        else if (std::strcmp(argv[i], "--fences") == 0)
            support::choose_fences(argv[i + 1]);
    }
    dice random(seed);
    begin(random);
    support::fences_are_prepared();
    start_daemon();
    for (int i = 0; i < natives; ++i) {
        threads[i].random = dice(random.next());
        threads[i].body = i < workers ? work : sit;
        pthread_t handle;
        if (pthread_create(&handle, nullptr, run, &threads[i]) != 0)
            return 70;
        pthread_detach(handle);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(20001)));
    int outcome = end(random);
    {
        std::lock_guard<std::mutex> hold(lock);
        has_ended = true;
        ended_signal.notify_all();
    }
    auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(patience_ms());
    while (count(running) != 0 && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::string more = summary();
    std::lock_guard<std::mutex> hold(lock);
    std::printf(
        "seed=%llu ordered=%d killed=%d hung=%d kept=%llu given_back=%llu died=%llu %soutcome=%d complaints=%s\n",
        static_cast<unsigned long long>(seed), count(ordered), count(killed), count(running),
        static_cast<unsigned long long>(counts.kept), static_cast<unsigned long long>(counts.given_back),
        static_cast<unsigned long long>(counts.died), more.c_str(), outcome,
        complaints.empty() ? "none" : complaints.c_str());
    return 0;
}
