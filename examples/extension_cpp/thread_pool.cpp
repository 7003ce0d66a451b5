#include "thread_pool.hpp"

#include <system_error>
#include <utility>

#include <unistd.h>

thread_pool::thread_pool(unsigned limit) : limit_(limit), process_(getpid()) {}

bool thread_pool::is_forked() const { return process_ != getpid(); }

bool thread_pool::submit(std::unique_ptr<job> &next) {
    if (is_forked())
        return false;
    const std::lock_guard<std::mutex> guard(lock_);
    if (is_closed_)
        return false;
    if (threads_.size() < limit_) {
        try {
            threads_.emplace_back(&thread_pool::work, this);
        } catch (const std::system_error &) {
            if (threads_.empty())
                throw;
        }
    }
    waiting_.push_back(std::move(next));
    wake_.notify_one();
    return true;
}

void thread_pool::close() {
    std::unique_lock<std::mutex> guard(lock_);
    is_closed_ = true;
    const std::deque<std::unique_ptr<job>> left = std::move(waiting_);
    wake_.notify_all();
    guard.unlock(); // the threads need it to end; and none is started any more
    for (std::thread &one : threads_)
        one.join();
    threads_.clear();
}

void thread_pool::work() {
    std::unique_lock<std::mutex> guard(lock_);
    for (;;) {
        wake_.wait(guard, [this] { return is_closed_ || !waiting_.empty(); });
        if (is_closed_)
            return;
        std::unique_ptr<job> next = std::move(waiting_.front());
        waiting_.pop_front();
        guard.unlock(); // a job waits for Python
        next->run();
        next.reset();
        guard.lock();
    }
}
