// Threads that hold all records and participants which ended threads left for reuse. A thread that begins while they
// run has to allocate its own, so that the allocation can be made to fail.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <vector>

#include "support/scopes.hpp"
#include "support/threads.hpp"

class unrecycled_threads {
  public:
    // More than the library keeps for reuse.
    static constexpr int enough = 24;

    unrecycled_threads() {
        for (int i = 0; i < enough; ++i)
            run([] { support::attached here; });
    }
    ~unrecycled_threads() { may_end_.count_down(); }
    unrecycled_threads(const unrecycled_threads &) = delete;
    unrecycled_threads &operator=(const unrecycled_threads &) = delete;

    // Calls `function` on a new thread, which then keeps its record, too.
    void run(const std::function<void()> &function) {
        support::latch done("a function of an unrecycled thread to return");
        std::exception_ptr thrown;
        threads_.push_back(std::make_unique<support::task>("an unrecycled thread to end", [&, this] {
            try {
                function();
            } catch (...) {
                thrown = std::current_exception();
            }
            const support::latch &permission = may_end_; // what follows outlives what is named above
            done.count_down();
            permission.wait();
            (void)pyattach_thread_release(); // or a later thread would find its state, and have more to do than others
        }));
        done.wait();
        if (thrown)
            std::rethrow_exception(thrown);
    }

  private:
    support::latch may_end_{"permission for the unrecycled_threads to end"};
    std::vector<std::unique_ptr<support::task>> threads_;
};
