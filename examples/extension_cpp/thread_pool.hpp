// A pool of native threads that do one job after the other. Knows nothing of Python.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <sys/types.h>

class job {
  public:
    virtual ~job() = default;
    virtual void run() = 0;
};

class thread_pool {
  public:
    explicit thread_pool(unsigned limit);

    // Starts a thread unless there are `limit` already. False: the pool is closed, and the job remains the caller's.
    // std::system_error: there is no thread at all.
    bool submit(std::unique_ptr<job> &next);
    // The job that a thread is at is waited for, those that wait are destroyed. Call it once, from outside.
    void close();
    // True in a child of fork(), which has none of the threads: the pool is then good for nothing, not even
    // destruction.
    bool is_forked() const;

  private:
    void work();

    const unsigned limit_;
    const pid_t process_;
    std::mutex lock_; // all below
    std::condition_variable wake_;
    std::deque<std::unique_ptr<job>> waiting_;
    std::vector<std::thread> threads_;
    bool is_closed_ = false;
};
