// Threads, latches and barriers for tests. Every wait has a deadline, and missing it ends the process with a sentence:
// a thread that hangs cannot be taken back, and a test that hangs says nothing.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <pthread.h>
#include <string>
#include <sys/types.h>
#include <type_traits>
#include <utility>

namespace support {

// Reached only by a failure, so generous.
constexpr std::chrono::seconds wait_limit{60};

// Says "waited in vain: <what>" and ends the process at once.
[[noreturn]] void give_up(const std::string &what) noexcept;

// Looks again and again until `condition` holds. For what cannot notify: the state of another thread, a counter of the
// library.
void wait_until(const char *what, const std::function<bool()> &condition);

// Opens for good when it was counted down `count` times. Waiting never touches Python: an attached thread keeps what it
// holds.
class latch {
  public:
    explicit latch(const char *what, int count = 1) : what_(what), left_(count) {}
    latch(const latch &) = delete;
    latch &operator=(const latch &) = delete;

    void count_down();
    bool is_open() const;
    void wait() const;
    void arrive_and_wait() {
        count_down();
        wait();
    }

  private:
    const char *what_;
    mutable std::mutex lock_;
    mutable std::condition_variable opened_;
    int left_;
};

// Lets `threads` threads go on together, again and again.
class barrier {
  public:
    barrier(const char *what, int threads) : what_(what), threads_(threads) {}
    barrier(const barrier &) = delete;
    barrier &operator=(const barrier &) = delete;
    void arrive_and_wait();

  private:
    const char *what_;
    std::mutex lock_;
    std::condition_variable turned_;
    const int threads_;
    int arrived_ = 0, turn_ = 0;
};

// A native thread. What its function throws comes out of join().
class task {
  public:
    task(const char *what, std::function<void()> function, const pthread_attr_t *attributes = nullptr);
    task(const task &) = delete;
    task &operator=(const task &) = delete;
    ~task();

    void join();
    bool has_returned() const; // from its function; its exit hooks may still run
    // Waits until the thread sleeps in the kernel or has returned. A thread that blocks for ever is found by this; one
    // that sleeps for a moment may be, so it proves nothing by itself.
    void wait_until_asleep() const;
    // Never joined; for threads that are meant to be parked for ever. What they use must live for ever too.
    void abandon();

  private:
    struct shared;
    static void *run(void *) noexcept;
    std::shared_ptr<shared> shared_;
    pthread_t handle_;
    bool joinable_ = true;
};

// The same of any thread of this process, named as the kernel does; a look. One that has ended is asleep, too.
bool is_asleep(pid_t thread);

// Runs body(0) ... body(count - 1), each on a thread of its own, all at once, and joins them. `what` is what this
// thread waits for.
void run_on_threads(int count, const char *what, const std::function<void(int)> &body);

// Runs `function` on a new thread while this one waits; so `function` may use Catch2.
template <class Function> auto run_on_thread(Function function) -> decltype(function()) {
    using result = decltype(function());
    if constexpr (std::is_void_v<result>) {
        task thread("a thread of run_on_thread to end", std::move(function));
        thread.join();
    } else {
        result value{};
        task thread("a thread of run_on_thread to end", [&] { value = function(); });
        thread.join();
        return value;
    }
}

} // namespace support
