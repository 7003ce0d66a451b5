// Threads, latches and barriers for tests.
#include "support/threads.hpp"

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include "support/expect.hpp"
#include "support/deadline_factor.hpp"

namespace support {

void give_up(const std::string &what) noexcept {
    std::fflush(stdout);
    std::fprintf(stderr, "waited in vain: %s\n", what.c_str());
    std::fflush(stderr);
    std::_Exit(86);
}

void wait_until(const char *what, const std::function<bool()> &condition) {
    auto deadline = std::chrono::steady_clock::now() + wait_limit * deadline_factor();
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline)
            give_up(what);
        sched_yield();
    }
}

void latch::count_down() {
    std::lock_guard<std::mutex> hold(lock_);
    if (left_ > 0 && --left_ == 0)
        opened_.notify_all();
}

bool latch::is_open() const {
    std::lock_guard<std::mutex> hold(lock_);
    return left_ == 0;
}

void latch::wait() const {
    std::unique_lock<std::mutex> hold(lock_);
    if (!opened_.wait_for(hold, wait_limit * deadline_factor(), [this] { return left_ == 0; }))
        give_up(what_);
}

void barrier::arrive_and_wait() {
    std::unique_lock<std::mutex> hold(lock_);
    int own_turn = turn_;
    if (++arrived_ == threads_) {
        arrived_ = 0;
        ++turn_;
        turned_.notify_all();
    } else if (!turned_.wait_for(hold, wait_limit * deadline_factor(), [&] { return turn_ != own_turn; })) {
        give_up(what_);
    }
}

struct task::shared {
    std::string what;
    std::function<void()> function;
    std::exception_ptr thrown;
    std::atomic<pid_t> id{0};
    std::atomic<bool> returned{false};
};

task::task(const char *what, std::function<void()> function, const pthread_attr_t *attributes)
    : shared_(std::make_shared<shared>()) {
    shared_->what = what;
    shared_->function = std::move(function);
    auto *handed = new std::shared_ptr<shared>(shared_);
    if (pthread_create(&handle_, attributes, &task::run, handed) != 0) {
        delete handed;
        throw failure("pthread_create failed");
    }
}

void *task::run(void *handed) noexcept {
    std::shared_ptr<shared> state = std::move(*static_cast<std::shared_ptr<shared> *>(handed));
    delete static_cast<std::shared_ptr<shared> *>(handed);
    state->id = static_cast<pid_t>(syscall(SYS_gettid));
    try {
        state->function();
    } catch (...) {
        // A thread killed by pthread_exit comes here too; not rethrowing that aborts the process, which is what it
        // deserves.
        state->thrown = std::current_exception();
    }
    state->returned = true;
    return nullptr;
}

task::~task() {
    if (!joinable_)
        return;
    try {
        join();
    } catch (...) { // a failure is on its way already
    }
}

void task::join() {
    if (!joinable_)
        return;
    timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += wait_limit.count() * deadline_factor();
    if (pthread_timedjoin_np(handle_, nullptr, &deadline) != 0)
        give_up(shared_->what);
    joinable_ = false;
    if (shared_->thrown)
        std::rethrow_exception(std::exchange(shared_->thrown, nullptr));
}

void task::abandon() {
    if (joinable_)
        pthread_detach(handle_);
    joinable_ = false;
}

bool task::has_returned() const { return shared_->returned; }

void task::wait_until_asleep() const {
    wait_until("a thread to block", [this] {
        if (shared_->returned)
            return true;
        if (shared_->id == 0)
            return false;
        return is_asleep(shared_->id);
    });
}

void run_on_threads(int count, const char *what, const std::function<void(int)> &body) {
    std::vector<std::unique_ptr<task>> tasks;
    for (int i = 0; i < count; ++i)
        tasks.push_back(std::make_unique<task>(what, [&body, i] { body(i); }));
    for (auto &each : tasks)
        each->join();
}

bool is_asleep(pid_t thread) {
    std::string path = "/proc/self/task/" + std::to_string(thread) + "/stat";
    std::FILE *file = std::fopen(path.c_str(), "re");
    if (!file)
        return true;
    char name[64] = "", state = 0;
    int read = std::fscanf(file, "%*d (%63[^)]) %c", name, &state);
    std::fclose(file);
    return read == 2 && state == 'S';
}

} // namespace support
